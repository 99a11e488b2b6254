-- When a PostgresUser, PostgresServer or ClusterPostgresServer is healthy. Of one that is being deleted Argo CD says by
-- itself that it is progressing.
local status = obj.status or {}

local function condition(name)
  for _, it in ipairs(status.conditions or {}) do
    if it.type == name then
      return it
    end
  end
  return {}
end

local function health(code, it)
  return {status = code, message = (it.reason or "Pending") .. ": " .. (it.message or "")}
end

-- A server whose credentials have worked, and that does not work now, is in trouble, unless it is merely busy. One that
-- has never worked may have been applied before its credentials.
local function is_server_in_trouble(ready)
  local is_waiting = {Connecting = true, ClusterBusy = true, Throttled = true}
  return status.identity ~= nil and ready.status == "False" and not is_waiting[ready.reason]
end

if status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "Pending: the operator has not seen this generation yet"}
end

local ready, stalled = condition("Ready"), condition("Stalled")
if obj.spec.suspend then
  return health("Suspended", ready)
end
if stalled.status == "True" then
  return health("Degraded", stalled)
end
if is_server_in_trouble(ready) then
  return health("Degraded", ready)
end
if condition("Reconciling").status == "True" or ready.status ~= "True" then
  return health("Progressing", ready)
end
return health("Healthy", ready)
