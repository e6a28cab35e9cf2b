
-- The server's run id as the caller knows it, and the server's time in microseconds.
local function enter(fence)
  local time = call('TIME')
  return fence, time[1] * 1000000 + time[2]
end
