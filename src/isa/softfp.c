/*
 * softfp.c - IEEE 754 arithmetic in integers; see softfp.h
 *
 * One core for three formats. A finite number that is not zero is
 *
 *      (-1)^sign * sig * 2^(exp - 63),   sig = 1xxx...x in 64 bits,
 *
 * so 1 <= sig / 2^63 < 2. At least 11 low bits are free even for binary64: room for guard bits and,
 * in bit 0, for "something not zero was shifted out" (jam), which is all that correct rounding
 * needs to know of the rest. unpack() makes this, round_pack() is the only place that rounds, and
 * every operation is exact up to the jam between.
 */
#include "isa/softfp.h"

#include "isa/fpbits.h"

typedef unsigned __int128 u128;

static const struct layout {
    uint8_t prec; /* bits of significand, with the hidden one */
    int16_t emax; /* largest exponent, and the bias */
} layouts[] = {[SF_H] = {11, 15}, [SF_S] = {24, 127}, [SF_D] = {53, 1023}};

enum class { ZERO, FINITE, INF, QNAN, SNAN };

struct num {
    enum class cls;
    bool sign;
    int exp;
    uint64_t sig;
};

static uint64_t
sign_bits(enum sf_fmt f, bool sign)
{
    return sign ? fp_sign(f) : 0;
}

static uint64_t
invalid(enum sf_fmt f, uint8_t *fl)
{
    *fl |= SF_NV;
    return fp_nan(f);
}

static struct num
unpack(enum sf_fmt f, uint64_t a)
{
    const struct layout *l = &layouts[f];
    const unsigned frac_bits = l->prec - 1u;
    const uint64_t frac = a & ((UINT64_C(1) << frac_bits) - 1);
    const int field = (int)(a >> frac_bits) & (2 * l->emax + 1);
    struct num n = {.sign = (a & fp_sign(f)) != 0};

    if (field == 2 * l->emax + 1) {
        n.cls = frac == 0 ? INF : frac >> (frac_bits - 1) ? QNAN : SNAN;
    } else if (field != 0) {
        n.cls = FINITE;
        n.sig = UINT64_C(1) << 63 | frac << (64 - l->prec);
        n.exp = field - l->emax;
    } else if (frac != 0) {
        const int lead = __builtin_clzll(frac);
        n.cls = FINITE;
        n.sig = frac << lead;
        n.exp = 1 - l->emax - (int)frac_bits + 63 - lead;
    }
    return n;
}

static bool
is_nan(const struct num *n)
{
    return n->cls >= QNAN;
}

static uint64_t
shift_right_jam(uint64_t v, int n)
{
    if (n == 0) {
        return v;
    }
    return n < 64 ? v >> n | ((v << (64 - n)) != 0) : v != 0;
}

static u128
shift_right_jam128(u128 v, int n)
{
    if (n == 0) {
        return v;
    }
    return n < 128 ? v >> n | ((v << (128 - n)) != 0) : v != 0;
}

/* Does rounding go away from zero? odd: the last bit kept; rest: what follows it, with `half` for
 * one half. */
static bool
rounds_up(unsigned rm, bool sign, bool odd, uint64_t rest, uint64_t half)
{
    switch (rm) {
    case SF_RTZ:
        return false;
    case SF_RDN:
        return sign && rest != 0;
    case SF_RUP:
        return !sign && rest != 0;
    case SF_RMM:
        return rest >= half;
    default:
        return rest > half || (rest == half && odd);
    }
}

static uint64_t
overflow(enum sf_fmt f, bool sign, unsigned rm, uint8_t *fl)
{
    const bool to_inf = rm == SF_RNE || rm == SF_RMM || rm == (sign ? SF_RDN : SF_RUP);
    *fl |= SF_OF | SF_NX;
    return sign_bits(f, sign) | (fp_inf(f) - !to_inf);
}

/* (-1)^sign * sig * 2^(exp - 63) in format f; sig has bit 63 set, and bit 0 may be a jam. */
static uint64_t
round_pack(enum sf_fmt f, bool sign, int exp, uint64_t sig, unsigned rm, uint8_t *fl)
{
    const struct layout *l = &layouts[f];
    const unsigned drop = 64u - l->prec;
    const uint64_t half = UINT64_C(1) << (drop - 1), mask = 2 * half - 1;
    const int emin = 1 - l->emax;
    const bool small = exp < emin;

    if (exp > l->emax) {
        return overflow(f, sign, rm, fl);
    }
    uint64_t s = small ? shift_right_jam(sig, emin - exp) : sig;
    uint64_t kept = s >> drop, rest = s & mask;
    kept += rounds_up(rm, sign, kept & 1, rest, half);

    /* The hidden bit adds one to the exponent field, and so does a carry out of the significand. */
    uint64_t out = ((uint64_t)(small ? 0 : exp - emin) << (l->prec - 1)) + kept;
    if (out >= fp_inf(f)) {
        return overflow(f, sign, rm, fl);
    }
    if (rest != 0) {
        *fl |= SF_NX;
        if (small) {
            /* Tiny after rounding: what would it be if the exponent had no lower bound? */
            uint64_t free_kept = sig >> drop;
            free_kept += rounds_up(rm, sign, free_kept & 1, sig & mask, half);
            if (exp < emin - 1 || free_kept >> l->prec == 0) {
                *fl |= SF_UF;
            }
        }
    }
    return sign_bits(f, sign) | out;
}

/*
 * a * b + c. The product has its leading bit at 127 or 126 of 128 bits, and at most 106 bits of it
 * are not zero: one bit to the right loses nothing and leaves room for a carry. c is aligned with
 * it, the unit being 2^(e - 125).
 */
static uint64_t
multiply_add(enum sf_fmt f, const struct num *a, const struct num *b, const struct num *c,
             unsigned rm, uint8_t *fl)
{
    const bool sign = a->sign ^ b->sign;
    const bool inf_by_zero = (a->cls == INF && b->cls == ZERO) || (a->cls == ZERO && b->cls == INF);

    if (a->cls == SNAN || b->cls == SNAN || c->cls == SNAN || inf_by_zero) {
        return invalid(f, fl);
    }
    if (is_nan(a) || is_nan(b) || is_nan(c)) {
        return fp_nan(f);
    }
    if (a->cls == INF || b->cls == INF) {
        return c->cls == INF && c->sign != sign ? invalid(f, fl) : sign_bits(f, sign) | fp_inf(f);
    }
    if (c->cls == INF) {
        return sign_bits(f, c->sign) | fp_inf(f);
    }
    if (a->cls == ZERO || b->cls == ZERO) {
        if (c->cls == ZERO) {
            return sign_bits(f, sign == c->sign ? sign : rm == SF_RDN);
        }
        return round_pack(f, c->sign, c->exp, c->sig, rm, fl);
    }

    u128 p = ((u128)a->sig * b->sig) >> 1, q = (u128)c->sig << 62;
    int e = a->exp + b->exp;
    if (c->cls == ZERO) {
        q = 0;
    } else if (c->exp > e) {
        p = shift_right_jam128(p, c->exp - e);
        e = c->exp;
    } else {
        q = shift_right_jam128(q, e - c->exp);
    }

    bool out_sign = sign;
    u128 sum;
    if (sign == c->sign) {
        sum = p + q;
    } else if (p >= q) {
        sum = p - q;
    } else {
        sum = q - p;
        out_sign = c->sign;
    }
    if (sum == 0) {
        return sign_bits(f, rm == SF_RDN);
    }
    const uint64_t high = (uint64_t)(sum >> 64);
    const int lead = high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)sum);
    sum <<= lead;
    return round_pack(f, out_sign, e + 2 - lead, (uint64_t)(sum >> 64) | ((uint64_t)sum != 0), rm,
                      fl);
}

uint64_t
sf_fma(enum sf_fmt f, uint64_t a, uint64_t b, uint64_t c, unsigned rm, uint8_t *fl)
{
    const struct num x = unpack(f, a), y = unpack(f, b), z = unpack(f, c);
    return multiply_add(f, &x, &y, &z, rm, fl);
}

/* One rounding core: a + b is a * 1 + b. */
uint64_t
sf_add(enum sf_fmt f, uint64_t a, uint64_t b, unsigned rm, uint8_t *fl)
{
    const struct num one = {.cls = FINITE, .sig = UINT64_C(1) << 63};
    const struct num x = unpack(f, a), y = unpack(f, b);
    return multiply_add(f, &x, &one, &y, rm, fl);
}

uint64_t
sf_sub(enum sf_fmt f, uint64_t a, uint64_t b, unsigned rm, uint8_t *fl)
{
    return sf_add(f, a, b ^ sign_bits(f, true), rm, fl);
}

/* a * b is a * b plus a zero of the product's sign. */
uint64_t
sf_mul(enum sf_fmt f, uint64_t a, uint64_t b, unsigned rm, uint8_t *fl)
{
    const struct num x = unpack(f, a), y = unpack(f, b);
    const struct num zero = {.cls = ZERO, .sign = x.sign ^ y.sign};
    return multiply_add(f, &x, &y, &zero, rm, fl);
}

uint64_t
sf_div(enum sf_fmt f, uint64_t a, uint64_t b, unsigned rm, uint8_t *fl)
{
    const struct num x = unpack(f, a), y = unpack(f, b);
    const bool sign = x.sign ^ y.sign;

    if (x.cls == SNAN || y.cls == SNAN) {
        return invalid(f, fl);
    }
    if (is_nan(&x) || is_nan(&y)) {
        return fp_nan(f);
    }
    if (x.cls == y.cls && x.cls != FINITE) {
        return invalid(f, fl);
    }
    if (x.cls == INF || y.cls == ZERO) {
        *fl |= x.cls == FINITE ? SF_DZ : 0;
        return sign_bits(f, sign) | fp_inf(f);
    }
    if (x.cls == ZERO || y.cls == INF) {
        return sign_bits(f, sign);
    }
    const u128 n = (u128)x.sig << 63;
    uint64_t q = (uint64_t)(n / y.sig); /* 2^62 < q < 2^64 */
    q |= (u128)q * y.sig != n;
    const int lead = __builtin_clzll(q);
    return round_pack(f, sign, x.exp - y.exp - lead, q << lead, rm, fl);
}

uint64_t
sf_sqrt(enum sf_fmt f, uint64_t a, unsigned rm, uint8_t *fl)
{
    const struct num x = unpack(f, a);

    if (x.cls == QNAN) {
        return fp_nan(f);
    }
    if (x.cls == ZERO) {
        return sign_bits(f, x.sign);
    }
    if (x.cls == SNAN || x.sign) {
        return invalid(f, fl);
    }
    if (x.cls == INF) {
        return fp_inf(f);
    }
    /* An even exponent is halved; the root of a number in [2^126, 2^128) has its leading bit at 63.
     */
    u128 rest = (u128)x.sig << (63 + (x.exp & 1));
    u128 root = 0;
    for (u128 bit = (u128)1 << 126; bit != 0; bit >>= 2) {
        const bool fits = rest >= root + bit;
        if (fits) {
            rest -= root + bit;
        }
        root = root >> 1 | (fits ? bit : 0);
    }
    return round_pack(f, false, (x.exp - (x.exp & 1)) / 2, (uint64_t)root | (rest != 0), rm, fl);
}

uint64_t
sf_convert(enum sf_fmt to, enum sf_fmt from, uint64_t a, unsigned rm, uint8_t *fl)
{
    const struct num x = unpack(from, a);
    switch (x.cls) {
    case SNAN:
        return invalid(to, fl);
    case QNAN:
        return fp_nan(to);
    case INF:
        return sign_bits(to, x.sign) | fp_inf(to);
    case ZERO:
        return sign_bits(to, x.sign);
    case FINITE:
        break;
    }
    return round_pack(to, x.sign, x.exp, x.sig, rm, fl);
}

/* The integer near a finite |x| < 2^64; *inexact if it is not x itself. */
static uint64_t
round_magnitude(const struct num *x, unsigned rm, bool *inexact)
{
    const int s = 63 - x->exp; /* bits behind the point, 0 or more */
    const uint64_t whole = s < 64 ? x->sig >> s : 0;
    const uint64_t part = s == 0 ? 0 : s <= 64 ? x->sig << (64 - s) : 1;
    *inexact = part != 0;
    return whole + rounds_up(rm, x->sign, whole & 1, part, UINT64_C(1) << 63);
}

uint64_t
sf_to_int(enum sf_fmt f, enum sf_int to, uint64_t a, unsigned rm, uint8_t *fl)
{
    static const uint64_t least[] = {
        [SF_I32] = (uint64_t)INT32_MIN, [SF_U32] = 0, [SF_I64] = (uint64_t)INT64_MIN, [SF_U64] = 0};
    static const uint64_t most[] = {
        [SF_I32] = INT32_MAX, [SF_U32] = UINT32_MAX, [SF_I64] = INT64_MAX, [SF_U64] = UINT64_MAX};
    const bool narrow = to == SF_I32 || to == SF_U32;
    const struct num x = unpack(f, a);
    bool inexact = false;
    uint64_t m = 0, out;

    if (x.cls == ZERO) {
        return 0;
    }
    bool fits = x.cls == FINITE && x.exp < 64;
    if (fits) {
        m = round_magnitude(&x, rm, &inexact);
        fits = m <= (x.sign ? -least[to] : most[to]);
    }
    if (!fits) {
        *fl |= SF_NV;
        out = x.sign && !is_nan(&x) ? least[to] : most[to];
    } else {
        *fl |= inexact ? SF_NX : 0;
        out = x.sign ? -m : m;
    }
    return narrow ? (uint64_t)(int32_t)out : out;
}

uint64_t
sf_from_int(enum sf_fmt f, enum sf_int from, uint64_t v, unsigned rm, uint8_t *fl)
{
    if (from == SF_I32) {
        v = (uint64_t)(int32_t)v;
    } else if (from == SF_U32) {
        v = (uint32_t)v;
    }
    const bool sign = (from == SF_I32 || from == SF_I64) && (int64_t)v < 0;
    const uint64_t m = sign ? -v : v;
    if (m == 0) {
        return 0;
    }
    const int lead = __builtin_clzll(m);
    return round_pack(f, sign, 63 - lead, m << lead, rm, fl);
}

uint64_t
sf_round_int(enum sf_fmt f, uint64_t a, bool exact, unsigned rm, uint8_t *fl)
{
    const struct num x = unpack(f, a);
    bool inexact;

    if (x.cls == SNAN) {
        return invalid(f, fl);
    }
    if (x.cls == QNAN) {
        return fp_nan(f);
    }
    if (x.cls != FINITE || x.exp >= layouts[f].prec - 1) {
        return a & (fp_sign(f) | (fp_sign(f) - 1));
    }
    const uint64_t m = round_magnitude(&x, rm, &inexact);
    if (exact && inexact) {
        *fl |= SF_NX;
    }
    if (m == 0) {
        return sign_bits(f, x.sign);
    }
    const int lead = __builtin_clzll(m);
    return round_pack(f, x.sign, 63 - lead, m << lead, rm, fl); /* exact: at most prec bits */
}

uint64_t
sf_mod_i32(uint64_t a, uint8_t *fl)
{
    const struct num x = unpack(SF_D, a);
    uint64_t m = 0;

    sf_to_int(SF_D, SF_I32, a, SF_RTZ, fl);
    if (x.cls == FINITE && x.exp >= 0 && x.exp < 63 + 32) {
        m = x.exp <= 63 ? x.sig >> (63 - x.exp) : x.sig << (x.exp - 63);
    }
    return (uint64_t)(int32_t)(x.sign ? -m : m);
}
