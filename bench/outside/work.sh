# work.sh - a shell's own work: loops, functions, arithmetic, patterns, parameters; no process
double() { r=$(($1 * 2 % 10007)); }
i=0 sum=0 text=abc:def:ghi
while [ $i -lt 150000 ]; do
	double $i
	case $r in *7) sum=$((sum + r)) ;; *[13]) sum=$((sum + 1)) ;; esac
	rest=${text#*:} first=${rest%%:*}
	[ "$first" = def ] && sum=$((sum ^ i))
	i=$((i + 1))
done
echo $sum
for f in 1 2 3 4 5; do set -- $f $f $f; shift; sum=$((sum + $# * $1)); done
echo $sum
