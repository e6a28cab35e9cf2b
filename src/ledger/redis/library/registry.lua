
-- A name takes a number. ARGV: fence, name, numbers to choose from. Answers the number, or '' when none is free.
local function register(keys, args)
  local s, bad = begin_all(keys, args)
  if bad then return bad end
  local known = call('HGET', s.base .. 'sales', args[2])
  if known then return known end
  for k = 3, #args do
    if call('HSETNX', s.base .. 'numbers', args[k], args[2]) == 1 then
      call('HSET', s.base .. 'sales', args[2], args[k])
      tell_all(s, 'n', args[k])
      return args[k]
    end
  end
  return ''
end

-- The number of a name. ARGV: fence, name. Answers '' when there is none.
local function find(keys, args)
  local s, bad = begin_all(keys, args, true)
  if bad then return bad end
  return call('HGET', s.base .. 'sales', args[2]) or ''
end

-- ARGV: fence, name, number.
local function unregister(keys, args)
  local s, bad = begin_all(keys, args)
  if bad then return bad end
  if call('HDEL', s.base .. 'numbers', args[3]) == 1 then
    call('HDEL', s.base .. 'sales', args[2])
    call('HDEL', s.base .. 'pacer', args[3])
    tell_all(s, 'f', args[3])
  end
  return 1
end

-- All sales. ARGV: fence. Answers name and number in turn.
local function sales(keys, args)
  local s, bad = begin_all(keys, args, true)
  if bad then return bad end
  return call('HGETALL', s.base .. 'sales')
end

-- ARGV: fence, key id, a new secret. Answers all ids and secrets; a secret that is there stays.
local function ticket_key(keys, args)
  local s, bad = begin_all(keys, args)
  if bad then return bad end
  call('HSETNX', s.base .. 'keys', args[2], args[3])
  return call('HGETALL', s.base .. 'keys')
end

-- Does nothing, and is refused where an order would be: no memory, too few replicas, no disk. ARGV: fence.
local function probe(keys, args)
  local _, bad = begin_all(keys, args)
  return bad or 1
end

-- As `adopt`, for the deployment: the pacer starts empty. ARGV: the new run id, the highest epoch that is known.
local function adopt_all(keys, args)
  local run, at = enter(args[1])
  local base, held = sub(keys[1], 1, -9), call('HMGET', keys[1], 'v', 'run', 'ep', 'evn')
  if held[1] and held[1] ~= FORMAT then
    return redis.error_reply('-FORMAT the settings have the format ' .. held[1])
  end
  if held[2] == run then return tonumber(held[3]) end
  local epoch = math.max(tonumber(held[3] or 0), tonumber(args[2])) + 1
  call('DEL', base .. 'pacer')
  call('HSET', keys[1], 'v', FORMAT, 'run', run, 'ep', epoch)
  local s = { base = base, key = keys[1], at = at, d = { ep = epoch } }
  tell_all(s, 'e', epoch)
  return epoch
end
