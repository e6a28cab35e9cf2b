
-- ---- Epochs -----------------------------------------------------------------------------------------------------

-- The server is another one than before, so something that was acknowledged may be missing: a new epoch begins, and
-- new buyers wait while gateways bring back what they remember. ARGV: the new run id, the highest epoch that the
-- caller knows of, microseconds of the hold. Whoever comes first does it. Answers the epoch in force, 0 when there is no sale.
local function adopt(keys, args)
  local run, at = enter(args[1])
  local held = call('HMGET', keys[1], 'v', 'run', 'ep', 'spans', 'evn')
  -- Registered, and not made yet.
  if not held[1] then return 0 end
  if held[1] ~= FORMAT then return redis.error_reply('-FORMAT the sale has the format ' .. held[1]) end
  if held[2] == run then return tonumber(held[3]) end
  local counts, first = call('HMGET', keys[1], unpack(COUNTS)), 0
  for k = 1, #COUNTS do first = first + (tonumber(counts[k]) or 0) end
  local epoch = math.max(tonumber(held[3]), tonumber(args[2])) + 1
  local spans = {}
  for span, begins in string.gmatch(held[4], '(%d+):(%d+)') do
    if tonumber(begins) < first then spans[#spans + 1] = span .. ':' .. begins end
  end
  spans[#spans + 1] = fmt('%d:%d', epoch, first)
  call('HSET', keys[1], 'run', run, 'ep', epoch, 'seq', 0, 'ls', 0, 'spans', concat(spans, ','),
    'hold', at + tonumber(args[3]), 'evn', held[5] + 1)
  call('XADD', sub(keys[1], 1, -2) .. 'ev', fmt('%d-%d', epoch, held[5] + 1), 'e', fmt('%d:%d', epoch, first))
  return epoch
end
