package rpc

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// RetryAfter reports whether a server refused a call only for now, and how long it asks to wait. If
// it does not say how long, that is a second. A call that would be refused again is no such error,
// such as one with more digests than a limit allows.
func RetryAfter(err error) (time.Duration, bool) {
	var refused *Error
	var proxy *unavailableError
	switch {
	case errors.As(err, &refused):
		after := refused.retryAfter
		if after == 0 && refused.Code == CodeBusy {
			after = time.Second
		}
		return after, after > 0 && (refused.Code == CodeBusy || refused.Code == CodeQuota)
	case errors.As(err, &proxy):
		return proxy.after, true
	}
	return 0, false
}

// unavailableError is the answer of a web server in front of the daemon that refuses calls for now,
// without any JSON-RPC.
type unavailableError struct {
	url    string
	status int
	after  time.Duration
}

func (e *unavailableError) Error() string {
	return fmt.Sprintf("%s accepts no calls now (HTTP status %d): try again in %s", e.url, e.status, e.after)
}

// isUnavailable reports whether an HTTP status asks a client to wait.
func isUnavailable(status int) bool {
	return status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests
}

// parseRetryAfter reads the header Retry-After: seconds, or a time.
func parseRetryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
