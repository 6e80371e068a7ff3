# work.awk - how often each word occurs, primes, and recursion
{ for (i = 1; i <= NF; i++) n[tolower($i)]++ }
function fib(k) { return k < 2 ? k : fib(k - 1) + fib(k - 2) }
END {
    for (w in n) { sum += n[w] * length(w); if (n[w] > most) most = n[w] }
    for (i = 2; i <= 200000; i++) if (!(i in out)) { primes++; for (k = i * i; k <= 200000; k += i) out[k] = 1 }
    for (i = 0; i < 100000; i++) { s = sprintf("%d:%x", i, i * 7); if (match(s, /[a-f]+$/)) tail += RLENGTH }
    print sum, most, primes, tail, fib(23)
}
