#!lua name=@LIBRARY@
-- The ledger of Forebay in Redis: what src/ledger/book does, in server-side functions. The shared suite compares
-- the two answer by answer.
--
-- Rules of this library: a function takes a batch; it decides everything before its first write, because a script
-- that fails does not roll back; loops are bounded by the batch; integers stay below 2^53, where a number of Lua is
-- exact; a call that is sent twice changes nothing the second time.
--
-- KEYS[1] is the sale's `m`; every other key of the sale has the same prefix and so the same slot:
--   m    the sale: terms, items, counters, epoch, run id        b    buyer -> units, and (key, body, place) an order
--   q    list of the orders that were never claimed, in order of admission; empty where one was cancelled
--   a    claimed orders, the dead too -> attempts and order     due  claimed orders by lease end or by next try
--   dead dead orders                                            x    orders that ended unclaimed, while q has their place
--   t:*  ended orders, 32 a key                                 n    what is too long for `t`
--   ev   the sale's tail, one entry a batch                     ops, mv  stock changes by operation, and by number
--   r, rz, rc, rs  while a new epoch is on hold: orders that are brought back, in their order, cancelled ones, and what
--        the store answered of them
-- A place is 8 bytes, epoch (2) and sequence (6), so that bytes sort as places do.

-- Lua's and the server's own functions are there only while a function runs: each call sets these first.
local call, pack, unpack_bytes, fmt, sub, byte, concat

local FORMAT = '1'
-- Lease ends stand below zero in `due`, next tries above: one sorted set, two ranges.
local LEASED = 4503599627370496
-- A hold of a sale that was rebuilt waits for the store's answer however long it takes, another one for so many holds.
local FOREVER, ASK_HOLDS, HOLD_LOOK = 9007199254740991, 15, 100000
local EXPIRED_MAX, POISON, NOTES_MAX, REASON_MAX, INLINE_MAX, BUCKET = 1000, 20, 32, 200, 64, 32
-- Under which nobody ordered: in place of key and body where only the store knows an order.
local NO_KEY = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
local QUEUED, PLACING, PLACED, REFUSED, CANCELLED, DEAD, LOST = 0, 1, 2, 4, 5, 7, 8
