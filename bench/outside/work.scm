; work.scm - fib, tak, queens, lists
(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))
(define (tak x y z) (if (not (< y x)) z (tak (tak (- x 1) y z) (tak (- y 1) z x) (tak (- z 1) x y))))
(define (range n) (let loop ((k (- n 1)) (l '())) (if (< k 0) l (loop (- k 1) (cons k l)))))
(define (safe? c d l) (or (null? l) (and (not (= (car l) c)) (not (= (abs (- (car l) c)) d)) (safe? c (+ d 1) (cdr l)))))
(define (queens n)
  (let place ((k n) (l '()))
    (if (= k 0) 1
        (let try ((c 0) (sum 0))
          (if (= c n) sum (try (+ c 1) (if (safe? c 1 l) (+ sum (place (- k 1) (cons c l))) sum)))))))
(define (total l) (let loop ((l l) (s 0)) (if (null? l) s (loop (cdr l) (+ s (car l))))))
(display (list (fib 22) (tak 14 8 3) (queens 6) (total (map (lambda (x) (* x x)) (range 2000)))))
(newline)
