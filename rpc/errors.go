package rpc

import (
	"errors"
	"time"
)

// Codes of errors. They are bitcoind's where bitcoind has a code for the case (its
// src/rpc/protocol.h), so that programs made for bitcoind decide rightly. The codes from -32768 to
// -32000 are those of JSON-RPC 2.0.
const (
	CodeMisc              = -1  // anything else; also a wrong number of parameters in a call that bitcoind has too
	CodeForbidden         = -2  // the user's role does not allow the call
	CodeType              = -3  // a parameter has the wrong JSON type
	CodeWallet            = -4  // the wallet cannot do it
	CodeNotFound          = -5  // no such digest, batch, anchor or block; or an invalid address
	CodeInsufficientFunds = -6  // the wallet has too few coins
	CodeInvalidParameter  = -8  // a parameter has the right type and a value that is not allowed
	CodeUnlockNeeded      = -13 // the wallet is locked
	CodeWrongPassphrase   = -14 // the passphrase does not open the wallet
	CodeAlreadyUnlocked   = -17 // the wallet is unlocked already
	CodeNoWallet          = -18 // there is no wallet yet
	CodeDatabase          = -20 // the store is read-only
	CodeStarting          = -28 // the daemon is starting, or has not yet synced what the answer needs

	CodeParse          = -32700 // the body is not JSON
	CodeInvalidRequest = -32600 // the body is JSON, but not a call; or it exceeds a limit
	CodeUnknownMethod  = -32601
	CodeInvalidParams  = -32602 // a parameter is missing, or there are too many
	CodeInternal       = -32603 // a defect of the daemon: its log has the details
	CodeBusy           = -32000 // too much is waiting: try again after a second. HTTP status 503, with Retry-After
	CodeQuota          = -32001 // rpc.max_digests or rpc.max_user_digests is used up: the message says when to try again. HTTP status 503, with Retry-After
)

// Error is the server's answer to a call that failed. [Client] returns it; use [errors.As] or
// [HasCode] to get at the code.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`

	retryAfter time.Duration // see RetryAfter; 0: the server does not say
}

// Error returns the message alone: it is a sentence for a person, and the code is for programs.
func (e *Error) Error() string { return e.Message }

// HasCode reports whether err is, or wraps, an [Error] with that code.
func HasCode(err error, code int) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}
