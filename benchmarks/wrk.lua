-- Posts the requests of a file, one after the other: each is a line, with tabs between path, body and headers.
local requests = {}
local position = 0

function init(arguments)
  for line in io.lines(arguments[1]) do
    local request = {}
    for part in line:gmatch("[^\t]+") do
      request[#request + 1] = (part:gsub("\\t", "\t"):gsub("\\r", "\r"):gsub("\\n", "\n"))
    end
    local headers = {}
    for index = 3, #request, 2 do
      headers[request[index]] = request[index + 1]
    end
    requests[#requests + 1] = wrk.format("POST", request[1], headers, request[2])
  end
end

function request()
  position = position % #requests + 1
  return requests[position]
end

function done(summary, latency)
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "p99": %f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(99) / 1e3, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  ))
end
