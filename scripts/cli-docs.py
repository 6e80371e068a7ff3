#!/usr/bin/env python3
"""cli-docs.py man|bash OPTIONS.DEF HELP.DEF [TEMPLATE VERSION] - the man page and the bash completion, on standard output

Both come from the tables that doppel itself parses by, so that they cannot forget an option.
"""
import re
import sys

TOKEN = re.compile(r'\s*(?:/\*.*?\*/\s*)*("(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'|[(),]|[^\s(),"\']+)', re.S)
ESCAPES = {"n": "\n", "t": "\t"}


def calls(path):
    """Every MACRO(arguments) of a table: strings joined and unescaped, 0 and NULL as ''."""
    with open(path) as f:
        text = f.read()
    words, at = [], 0
    text = re.sub(r"/\*.*?\*/|^#.*?$", "", text, flags=re.S | re.M)
    while text[at:].strip():
        m = TOKEN.match(text, at)
        words.append(m.group(1))
        at = m.end()
    found, i = [], 0
    while i < len(words):
        name, args, i = words[i], [""], i + 2
        while words[i] != ")":
            if words[i] == ",":
                args.append("")
            elif words[i][0] in "\"'":
                args[-1] += re.sub(r"\\(.)", lambda m: ESCAPES.get(m.group(1), m.group(1)), words[i][1:-1])
            elif words[i] not in ("0", "NULL"):
                args[-1] += words[i]
            i += 1
        found.append((name, args))
        i += 1
    return found


def load(options, more):
    commands, order, variables = {}, [], []
    for name, a in calls(options):
        if name == "CMD":
            commands[a[0]] = {"args": a[1], "help": a[2], "options": [], "more": ""}
            order.append(a[0])
    valued = {}
    for name, a in calls(options):
        if name == "OPT":
            commands[a[0]]["options"].append(a[2:])
            valued[a[0], a[1]] = a[3], a[4]
        elif name == "ENV":
            variables.append((a[2],) + valued[a[0], a[1]])
    for name, a in calls(more):
        commands[a[0]]["more"] = a[1]
    return [(n, commands[n]) for n in order], variables


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "\\|.\\|.\\|.")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def man_command(name, c):
    out = ['.SS "doppel %s %s"' % (name, roff(c["args"])), roff(c["help"][0].upper() + c["help"][1:]) + "."]
    for short, long_name, value, text in c["options"]:
        optional = value.startswith("[")
        if optional:
            value = "[=" + value[1:]
        value_roff = "\\fI%s\\fR" % roff(value) if value else ""
        forms = []
        if short:
            forms.append("\\fB\\-%s\\fR%s" % (short, " " + value_roff if value and not long_name else ""))
        if long_name:
            forms.append("\\fB\\-\\-%s\\fR%s%s" % (roff(long_name), "=" if value and not optional else "", value_roff))
        out += [".TP", ", ".join(forms), roff(text)]
    indented = False
    for line in c["more"].split("\n"):
        if line.startswith("    ") != indented:
            indented = not indented
            out.append(".nf" if indented else ".fi")
        out.append(roff(line) if line else ".PP")
    if indented:
        out.append(".fi")
    return "\n".join(out)


def man_variables(variables):
    return "\n".join(".TP 22\n\\fB%s\\fR\n\\fB\\-\\-%s\\fR%s" % (roff(v), roff(o), "=\\fIvalue\\fR" if value else "")
                     for v, o, value in variables)


def bash(commands):
    print("# bash completion for doppel, made by cli-docs.py\n_doppel()\n{")
    print('    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n    COMPREPLY=()')
    print("    if [ $COMP_CWORD -eq 1 ]; then\n        COMPREPLY=($(compgen -W '%s --help --version' -- \"$cur\"))\n        return\n    fi" %
          " ".join(n for n, _ in commands))
    print("    case ${COMP_WORDS[1]} in")
    for name, c in commands:
        words = " ".join("--%s%s" % (o[1], "=" if o[2] and not o[2].startswith("[") else "") for o in c["options"] if o[1])
        if name == "help":
            words = " ".join(n for n, _ in commands)
        print("    %s) words='%s' ;;" % (name, words))
    print('    esac\n    case $cur in\n    -*) COMPREPLY=($(compgen -W "$words" -- "$cur")) ;;')
    print('    *) [ "${COMP_WORDS[1]}" = help ] && COMPREPLY=($(compgen -W "$words" -- "$cur")) || COMPREPLY=($(compgen -f -- "$cur")) ;;')
    print('    esac\n    case ${COMPREPLY[0]-} in *=) compopt -o nospace ;; esac\n}\ncomplete -o filenames -F _doppel doppel')


commands, variables = load(sys.argv[2], sys.argv[3])
if sys.argv[1] == "bash":
    bash(commands)
else:
    with open(sys.argv[4]) as f:
        page = f.read()
    page = page[page.index(".TH"):]
    parts = {"@VERSION@": sys.argv[5], "@COMMANDS@": "\n".join(man_command(*c) for c in commands),
             "@VARIABLES@": man_variables(variables)}
    for mark, text in parts.items():
        page = page.replace(mark, text)
    print(page, end="")
