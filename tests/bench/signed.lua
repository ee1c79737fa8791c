-- For wrk: replays requests that were signed beforehand, one after the other, and prints what it found as JSON.
-- Arguments: the path to post to, and a file with "id <tab> timestamp <tab> signature <tab> body" on each line.
local requests, at = {}, 0

function init(arguments)
    for line in io.lines(arguments[2]) do
        local id, timestamp, signature, body = line:match("([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)")
        local headers = {
            ["content-type"] = "application/json",
            ["webhook-id"] = id,
            ["webhook-timestamp"] = timestamp,
            ["webhook-signature"] = signature,
        }
        requests[#requests + 1] = wrk.format("POST", arguments[1], headers, body)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "seconds": %f, "p99": %f, "wrong": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(99) / 1e3,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout
    ))
end
