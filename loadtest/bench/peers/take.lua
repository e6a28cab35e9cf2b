-- One order in one atomic step, as a shop would write it: the key, the buyer's limit, the stock, the queue. One read
-- and one write of one hash, and one entry of the queue: fewer calls cannot do it.
-- KEYS: 1 the sale's book, a hash: `buyer LF key` -> ticket, `buyer` -> units bought, `LF stock` -> units left
--       2 the queue, a stream; without it the caller queues the order himself
-- ARGV: 1 buyer, 2 idempotency key, 3 units, 4 limit of a buyer, 5 the order, 6 the ticket where there is no stream
local of_key = ARGV[1] .. '\n' .. ARGV[2]
local known = redis.call('HMGET', KEYS[1], of_key, ARGV[1], '\nstock')
if known[1] then
  return { 'replayed', known[1] }
end
local units = tonumber(ARGV[3])
local bought = (tonumber(known[2] or 0)) + units
if bought > tonumber(ARGV[4]) then
  return { 'limit_reached' }
end
local left = tonumber(known[3] or 0) - units
if left < 0 then
  return { 'sold_out' }
end
local ticket = ARGV[6]
if KEYS[2] then
  ticket = redis.call('XADD', KEYS[2], '*', 'buyer', ARGV[1], 'key', ARGV[2], 'order', ARGV[5])
end
redis.call('HSET', KEYS[1], of_key, ticket, ARGV[1], bought, '\nstock', left)
return { 'accepted', ticket }
