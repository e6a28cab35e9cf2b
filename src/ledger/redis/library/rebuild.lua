
-- ---- A halted sale begins anew ----------------------------------------------------------------------------------

-- Whether the sale in force is what its counters say. Keys of another type make the server's own functions fail.
local function stands(keys, args)
  local read, fine = pcall(function()
    local s, bad = begin_whole(keys, args)
    if bad then return false end
    local held = 0
    for index = 0, s.m.ni - 1 do
      local item, stock = item_of(s, index), call('HMGET', s.key, 'i' .. index, '+' .. index, '-' .. index)
      if item.a + item.h + item.s ~= tonumber(stock[1]) + tonumber(stock[2]) - tonumber(stock[3]) then return false end
      held = held + item.h
    end
    return held >= s.m.c0 + s.m.c1 + s.m.c7
  end)
  return read and fine
end

-- The numbered changes of stock, where they are gone: those that the store has had are nothing to it any more, and what
-- it lacks of the units comes behind them.
local function number_changes(base, items, had)
  call('UNLINK', base .. 'mv')
  for _ = 1, had do call('RPUSH', base .. 'mv', '0 0 0') end
  for index, item in ipairs(items) do
    local units = item.initial + item.added - item.less
    if item.had == '' then
      call('RPUSH', base .. 'mv', fmt('%d 1 %.0f', index - 1, units))
    elseif tonumber(item.had) ~= units then
      call('RPUSH', base .. 'mv', fmt('%d 0 %.0f', index - 1, units - tonumber(item.had)))
    end
  end
end

-- A halted sale begins anew with all its units: what is left of it is dropped, and it goes on hold. What gateways
-- remember and what the store has comes back then, in whichever epoch it was accepted. ARGV: fence; number, name, key id,
-- terms, opens, closes, limit; instant of its making, loosest limit, 1 if paused, 1 if closed, epoch, revision, changes of
-- stock, how many of them the store has had; then for each item: sku, initial, added, cut, units that the store had of
-- it or ''.
local function rebuild(keys, args)
  local run, at = enter(args[1])
  local key, base = keys[1], sub(keys[1], 1, -2)
  local read, known = pcall(call, 'HMGET', key, 'v', 'run', 'purged')
  if read and known[1] == FORMAT then
    if known[2] ~= run then return redis.error_reply('-FENCED the run id in force is another') end
    if known[3] ~= '' then return { 'conflict', 'purged', '' } end
    if stands(keys, args) then return { 'conflict', 'not_halted', '' } end
  end
  local items = {}
  for k = 17, #args, 5 do
    put(items, { sku = args[k], initial = tonumber(args[k + 1]), added = tonumber(args[k + 2]), less = tonumber(args[k + 3]),
      had = args[k + 4] })
  end
  for _, name in ipairs({ '', 'b', 'q', 'due', 'a', 'dead', 'x', 'n', 'ev', 'r', 'rz', 'rc', 'rs' }) do
    call('UNLINK', name == '' and key or base .. name)
  end
  if call('TYPE', base .. 'ops').ok ~= 'hash' then call('UNLINK', base .. 'ops') end
  local whole_list = call('TYPE', base .. 'mv').ok == 'list' and call('LLEN', base .. 'mv') == tonumber(args[15])
  if not whole_list then number_changes(base, items, tonumber(args[16])) end
  -- No server's epoch is in force: whoever calls next opens one, and the hold with it.
  new_sale(key, '', at, { unpack(args, 2, 8) })
  call('HSET', key, 'made', args[9], 'loose', args[10], 'paused', args[11], 'closed', args[12], 'ep', args[13], 'spans', '',
    'rev', args[14] + 1, 'nm', call('LLEN', base .. 'mv'), 'ni', #items, 'rec', '1', 'rep', 1, 'rnext', 1,
    'ask', fmt('%.0f', FOREVER))
  for k, item in ipairs(items) do
    local index, units = k - 1, fmt('%.0f', item.initial + item.added - item.less)
    new_item(key, index, item.sku, fmt('%.0f', item.initial))
    call('HSET', key, '+' .. index, fmt('%.0f', item.added), '-' .. index, fmt('%.0f', item.less), 'a' .. index, units)
  end
  return { 'changed' }
end
