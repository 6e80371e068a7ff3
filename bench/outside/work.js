// work.js - queens, closures, objects, strings
function queens(n, row, cols, up, down) {
    if (row == n) return 1;
    var found = 0;
    for (var c = 0; c < n; c++) {
        if (cols[c] || up[row + c] || down[row - c + n]) continue;
        cols[c] = up[row + c] = down[row - c + n] = true;
        found += queens(n, row + 1, cols, up, down);
        cols[c] = up[row + c] = down[row - c + n] = false;
    }
    return found;
}
function Point(x, y) { this.x = x; this.y = y; }
Point.prototype.turn = function () { return new Point(-this.y, this.x + 1); };
function adder(k) { return function (x) { return (x + k) % 10007; }; }
var p = new Point(1, 2), f = [], sum = 0, words = {}, text = "";
for (var i = 0; i < 300000; i++) p = p.turn();
for (var k = 0; k < 20; k++) f[k] = adder(k * k);
for (var j = 0; j < 500000; j++) sum = f[j % 20](sum);
for (var w = 0; w < 60000; w++) { var key = "w" + (w * 7919) % 1009; words[key] = (words[key] || 0) + 1; }
for (var s = 0; s < 2000; s++) text += String.fromCharCode(97 + s % 26);
print(queens(8, 0, [], [], []), p.x, p.y, sum, Object.keys(words).length, text.split("a").length);
