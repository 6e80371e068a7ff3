-- lua_mixed.lua: tables, strings, closures, coroutines and floating point; checks itself
-- FULL 2000
-- QUICK 160
local n = tonumber(arg[1])

local function fib(k)
  return k < 2 and k or fib(k - 1) + fib(k - 2)
end

local function words(count)
  local t, seed = {}, 42
  for i = 1, count do
    seed = (seed * 1103515245 + 12345) % 2147483648
    t[i] = string.format("w%x", seed % 997)
  end
  return t
end

local function histogram(list)
  local h = {}
  for _, w in ipairs(list) do
    h[w] = (h[w] or 0) + 1
  end
  return h
end

local function generate(limit)
  return coroutine.wrap(function()
    for i = 1, limit do
      coroutine.yield(i * i)
    end
  end)
end

local total = 0
for round = 1, n do
  total = total + fib(15)
  local list = words(300)
  local h, seen = histogram(list), 0
  for _, c in pairs(h) do
    seen = seen + c
  end
  assert(seen == 300)
  table.sort(list)
  for i = 2, #list do
    assert(list[i - 1] <= list[i])
  end
  local text = table.concat(list, " "):gsub("w(%x)", "%1-")
  total = total + #text
  for sq in generate(50) do
    total = total + sq
  end
  local x = 0.0
  for i = 1, 500 do
    x = x + math.sin(i) * math.sqrt(i)
  end
  assert(x < 20 and x > -30)
end
print("lua_mixed", total)
