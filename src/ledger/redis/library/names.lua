
-- ---- Names ------------------------------------------------------------------------------------------------------

local function offer(name, body, flags)
  local function run(keys, args)
    call, pack, unpack_bytes = redis.call, struct.pack, struct.unpack
    fmt, sub, byte, concat = string.format, string.sub, string.byte, table.concat
    return body(keys, args)
  end
  redis.register_function({ function_name = '@LIBRARY@_' .. name, callback = run, flags = flags })
end

-- What takes orders is refused when memory is full; what drains, settles and frees is not.
offer('reserve', reserve, {})
offer('cancel', cancel, { 'allow-oom' })
offer('claim', claim, { 'allow-oom' })
offer('settle', settle, { 'allow-oom' })
offer('put', put_sale, {})
offer('switch', switch, { 'allow-oom' })
offer('stock', stock, { 'allow-oom' })
offer('retry_dead', retry_dead, { 'allow-oom' })
offer('end_dead', end_dead, { 'allow-oom' })
offer('purge', purge, { 'allow-oom' })
offer('retain', retain, { 'allow-oom' })
offer('sweep', sweep, { 'allow-oom' })
offer('forget', forget, { 'allow-oom' })
offer('adopt', adopt, { 'allow-oom' })
offer('bring_back', bring_back, { 'allow-oom' })
offer('bring_cancelled', bring_cancelled, { 'allow-oom' })
offer('answer_for', answer_for, { 'allow-oom' })
offer('rebuild', rebuild, { 'allow-oom' })
offer('end_hold', end_hold, { 'allow-oom' })
offer('census', census, { 'no-writes' })
offer('extent', extent, { 'no-writes' })
offer('orders', orders, { 'no-writes' })
offer('dead', dead, { 'no-writes' })
offer('snapshot', snapshot, { 'no-writes' })
offer('buyers', buyers, { 'no-writes' })
offer('grant', grant, { 'allow-oom' })
offer('decided', decided, { 'allow-oom' })
offer('drain', drain, { 'allow-oom' })
offer('settings', settings, { 'no-writes' })
offer('register', register, {})
offer('unregister', unregister, { 'allow-oom' })
offer('find', find, { 'no-writes' })
offer('sales', sales, { 'no-writes' })
offer('ticket_key', ticket_key, { 'allow-oom' })
offer('probe', probe, {})
offer('adopt_all', adopt_all, { 'allow-oom' })
