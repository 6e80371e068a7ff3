# work.tcl - procedures, lists, dictionaries, strings
proc fib n { if {$n < 2} { return $n }; expr {[fib [expr {$n - 1}]] + [fib [expr {$n - 2}]]} }
proc primes n {
    set out [lrepeat [expr {$n + 1}] 0]
    set count 0
    for {set i 2} {$i <= $n} {incr i} {
        if {[lindex $out $i]} continue
        incr count
        for {set k [expr {$i * $i}]} {$k <= $n} {incr k $i} { lset out $k 1 }
    }
    return $count
}
set words [dict create]
for {set i 0} {$i < 400000} {incr i} { dict incr words w[expr {$i * 7919 % 1009}] }
set text ""
for {set i 0} {$i < 100000} {incr i} { append text [string index abcdefghij [expr {$i % 10}]] }
set found [regexp -all {[ac]b?} $text]
set sorted [lsort -integer [lmap x [split [string range $text 0 20000] ""] { scan $x %c }]]
puts "[fib 24] [primes 400000] [dict size $words] $found [lindex $sorted end]"
