
-- ---- The whole deployment: pacer, settings, sales, keys -----------------------------------------------------------
-- KEYS[1] is `settings`; the others of the deployment have the same prefix:
--   settings  the drain's rate, burst and pause, the store's answers, the last decided orders, epoch, run id
--   pacer     the token buckets; they start empty in each epoch   eras  the paces that were in force
--   sales     name -> number    numbers  number -> name           keys  ticket keys    ev  what changed of all this

local ERAS_MAX, WINDOW, FULL_MAX = 256, 20, 4503599627370496

local function begin_all(keys, args, reads)
  local run, at = enter(args[1])
  local base = sub(keys[1], 1, -9)
  local list, d = call('HGETALL', keys[1]), {}
  for k = 1, #list, 2 do d[list[k]] = list[k + 1] end
  if d.v and d.v ~= FORMAT then return nil, redis.error_reply('-FORMAT the settings have the format ' .. d.v) end
  if d.run ~= run and not (reads and run == '*') then return nil, redis.error_reply('-FENCED the run id in force is another') end
  return { base = base, key = keys[1], at = at, d = d }
end

local function tell_all(s, ...)
  local n = call('HINCRBY', s.key, 'evn', 1)
  call('XADD', s.base .. 'ev', fmt('%d-%d', s.d.ep, n), ...)
end

-- The rate in force: permits (0 is unlimited), period, burst.
local function pace_of(d)
  local permits, period, burst = d.permits or '500', d.period or '1000000', d.burst or ''
  if (d.op_permits or '') ~= '' then permits, period, burst = d.op_permits, d.op_period, '' end
  if (d.op_burst or '') ~= '' then burst = d.op_burst end
  permits, period = tonumber(permits), tonumber(period)
  if permits == 0 then return 0, 1, 0 end
  burst = burst == '' and 1 + math.ceil(permits * 10000 / period) or math.max(tonumber(burst), 1)
  return permits, period, math.min(burst, math.floor(FULL_MAX / period))
end

-- A token bucket, as in book/pacer.rs: a permit is `period` of level, a microsecond adds `permits` of level.
-- A clock that was set back empties it, so that no window ever gets more than its burst and rate.
local function fill(bucket, at)
  if at < bucket.at then bucket.level, bucket.at = 0, at end
  local full = bucket.burst * bucket.period
  local elapsed = math.min(at - bucket.at, math.ceil(full / bucket.permits) + 1)
  bucket.level, bucket.at = math.min(bucket.level + elapsed * bucket.permits, full), at
  return math.floor(bucket.level / bucket.period)
end

local function wait_for(bucket, want)
  local worth = math.max(1, math.min(want, math.ceil(bucket.burst / 2)))
  return math.ceil(math.max(worth * bucket.period - bucket.level, 0) / bucket.permits)
end

-- The bucket `name` with this pace; what is saved stays, as far as a new burst allows.
local function bucket_at(s, name, permits, period, burst)
  local held = call('HGET', s.base .. 'pacer', name)
  local b = { permits = permits, period = period, burst = burst, level = 0, at = s.at }
  if held then
    local was = {}
    was.permits, was.period, was.burst, was.level, was.at = string.match(held, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
    for k, v in pairs(was) do was[k] = tonumber(v) end
    if was.permits == permits and was.period == period and was.burst == burst then return was end
    if was.permits > 0 then b.level = math.min(fill(was, s.at), burst) * period end
  end
  return b
end

local function keep_bucket(s, name, b)
  call('HSET', s.base .. 'pacer', name,
    fmt('%.0f %.0f %.0f %.0f %.0f', b.permits, b.period, b.burst, b.level, b.at))
end

-- ARGV: fence, the sale's number, permits wanted, permits and period of the sale's own rate ('' for none).
-- Answers: permits, time, 0 or microseconds to wait or -1 while paused, answers of the store.
local function grant(keys, args)
  local s, bad = begin_all(keys, args)
  if bad then return bad end
  local d, want, answers = s.d, tonumber(args[3]), tonumber(s.d.ans or 0)
  if (d.paused or '') ~= '' then return { 0, s.at, -1, answers } end
  local granted, wait = want, 0
  local permits, period, burst = pace_of(d)
  local all, own
  if permits > 0 then
    all = bucket_at(s, 'all', permits, period, burst)
    granted = math.min(granted, fill(all, s.at))
    wait = wait_for(all, want)
  end
  if args[4] ~= '' and args[4] ~= '0' then
    permits, period = tonumber(args[4]), tonumber(args[5])
    own = bucket_at(s, args[2], permits, period, 1 + math.ceil(permits * 10000 / period))
    granted = math.min(granted, fill(own, s.at))
    wait = math.max(wait, wait_for(own, want))
    own.level = own.level - granted * own.period
    keep_bucket(s, args[2], own)
  end
  if all then
    all.level = all.level - granted * all.period
    keep_bucket(s, 'all', all)
  end
  if granted > 0 then return { granted, s.at, 0, answers } end
  return { 0, s.at, math.max(wait, 1), answers }
end

local function eras_of(s)
  return concat(call('LRANGE', s.base .. 'eras', 0, -1), ',')
end

local function tell_drain(s)
  tell_all(s, 'd', packed(call('HGETALL', s.key)), 'eras', eras_of(s))
end

-- Writes the drain's settings; they hold from now on.
local function set_drain(s, changed)
  local d, list = s.d, {}
  local same = d.set ~= nil
  for field, value in pairs(changed) do
    if (d[field] or '') ~= value then same = false end
    d[field] = value
    put(list, field, value)
  end
  if same then return false end
  if changed.paused == '' then
    d.window = ''
    put(list, 'window', '')
  end
  call('HSET', s.key, 'set', '1', unpack(list))
  local permits, period, burst = pace_of(d)
  if permits > 0 then
    local bucket = bucket_at(s, 'all', permits, period, burst)
    keep_bucket(s, 'all', bucket)
  else
    call('HDEL', s.base .. 'pacer', 'all')
  end
  local era = fmt('%.0f %.0f %.0f', permits, period, burst)
  local last = call('LINDEX', s.base .. 'eras', -1)
  if not last or string.match(last, '^%d+ (.*)$') ~= era then
    call('RPUSH', s.base .. 'eras', fmt('%.0f %s', s.at, era))
    call('LTRIM', s.base .. 'eras', -ERAS_MAX, -1)
  end
  tell_drain(s)
  return true
end

-- ARGV: fence, then fields and values: permits, period, burst of the configuration; op_permits, op_period, op_burst
-- of the operator ('' for none); paused: 1, 0.
local function drain(keys, args)
  local s, bad = begin_all(keys, args)
  if bad then return bad end
  local changed = {}
  for k = 2, #args, 2 do changed[args[k]] = args[k + 1] end
  if changed.paused == '1' then changed.paused = (s.d.paused or '') ~= '' and s.d.paused or 'operator' end
  if changed.paused == '0' then changed.paused = '' end
  set_drain(s, changed)
  return { s.at, call('HGETALL', s.key), eras_of(s) }
end

-- The drain's settings. ARGV: fence.
local function settings(keys, args)
  local s, bad = begin_all(keys, args, true)
  if bad then return bad end
  return { s.at, call('HGETALL', s.key), eras_of(s) }
end

-- The store decided orders. ARGV: fence, a letter each (p placed, r refused, l another answer), the percentage of
-- refusals above which the drain pauses or ''. Answers how many answers the store ever gave.
local function decided(keys, args)
  local s, bad = begin_all(keys, args)
  if bad then return bad end
  local window, percent = s.d.window or '', tonumber(args[3])
  local storm = false
  for letter in string.gmatch(args[2], '.') do
    if letter ~= 'l' then window = sub(window .. letter, -WINDOW) end
    if letter == 'r' and percent then
      local _, refused = string.gsub(window, 'r', '')
      storm = storm or (#window == WINDOW and refused * 100 > percent * WINDOW)
    end
  end
  local answers = (tonumber(s.d.ans) or 0) + #args[2]
  call('HSET', s.key, 'ans', answers, 'window', window)
  s.d.window, s.d.ans = window, answers
  if storm and (s.d.paused or '') == '' then set_drain(s, { paused = 'refusal_storm' }) end
  return answers
end
