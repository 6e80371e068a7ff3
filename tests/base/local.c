/*
 * local.c - listening at a name (base/local.h): over what is dead, never over what is not
 */
#include "base/local.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[96];

static int
set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/doppel-local-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/socket", folder);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void
only_the_user_may_connect(void **state)
{
    (void)state;
    struct stat st;
    const mode_t old = umask(0);
    const int fd = local_listen(path, 0);
    assert_true(fd >= 0);
    assert_int_equal(umask(old), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFSOCK | 0600);
    close(fd);
}

static void
dead_socket_is_replaced(void **state)
{
    (void)state;
    const int first = local_listen(path, 0);
    assert_true(first >= 0);
    assert_int_equal(local_listen(path, 0), -EADDRINUSE);
    const int to_first = local_connect(path, 0);
    assert_true(to_first >= 0);
    close(to_first);
    close(first);
    assert_int_equal(local_connect(path, 0), -ECONNREFUSED);
    const int second = local_listen(path, SOCK_NONBLOCK);
    assert_true(second >= 0);
    assert_true((fcntl(second, F_GETFL) & O_NONBLOCK) != 0);
    close(second);
}

/* connect() refuses a plain file as it does a dead socket */
static void
other_files_stay(void **state)
{
    (void)state;
    char target[128], text[8] = "";
    const int file = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, "mine", 4), 4);
    close(file);
    assert_int_equal(local_listen(path, 0), -EADDRINUSE);
    snprintf(target, sizeof target, "%s.real", path);
    assert_int_equal(rename(path, target), 0);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(local_listen(path, 0), -EADDRINUSE);
    const int again = open(path, O_RDONLY);
    assert_int_equal(read(again, text, sizeof text), 4);
    assert_string_equal(text, "mine");
    close(again);
    unlink(target);
}

static void
names_have_a_length(void **state)
{
    (void)state;
    char name[LOCAL_PATH_MAX + 2];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    assert_int_equal(local_listen(name, 0), -ENAMETOOLONG);
    assert_int_equal(local_connect(name, 0), -ENAMETOOLONG);
    assert_int_equal(local_listen("", 0), -EINVAL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_the_user_may_connect, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dead_socket_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_files_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_have_a_length, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
