package rpc

import (
	"context"
	"errors"
	"fmt"

	"ancre/batcher"
)

// Codes of errors. They are bitcoind's where it has one for the case (its src/rpc/protocol.h), so
// that programs made for bitcoind decide rightly; those of JSON-RPC 2.0 are from -32768 to -32000.
const (
	CodeMisc              = -1  // anything else; also a wrong number of parameters for a call of bitcoind's
	CodeForbidden         = -2  // the user's role does not suffice
	CodeType              = -3  // a parameter has another JSON type than it should
	CodeWallet            = -4  // the wallet cannot do it
	CodeNotFound          = -5  // no such digest, batch, anchor or block; an address that is none
	CodeInsufficientFunds = -6  // coins are missing
	CodeInvalidParameter  = -8  // a parameter has the right type and a value that is not allowed
	CodeUnlockNeeded      = -13 // the wallet is locked
	CodeWrongPassphrase   = -14 // the passphrase does not open the wallet
	CodeAlreadyUnlocked   = -17 // the wallet is open already
	CodeNoWallet          = -18 // there is no wallet yet
	CodeDatabase          = -20 // the store takes no writes
	CodeStarting          = -28 // the daemon is starting, or has not synced what it needs for the answer

	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeUnknownMethod  = -32601
	CodeInvalidParams  = -32602
	CodeInternal       = -32603
	CodeBusy           = -32000 // too much waits already: try again after a second. HTTP status 503, with Retry-After
	CodeQuota          = -32001 // rpc.max_digests or rpc.max_user_digests is used up: try again when the message says. HTTP status 503, with Retry-After
)

// Error is what a server answers when a call failed. A [Client] returns it; use [errors.As] to get
// at the code.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// Error returns the message alone: it is a sentence for a person, and the code is for programs.
func (e *Error) Error() string { return e.Message }

// HasCode reports whether err is, or wraps, an [Error] of that code.
func HasCode(err error, code int) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// What the parts behind the server say by wrapping one of these, which decides the code of the
// answer. The message is that of the wrapping error, so it should say what is wrong and what to do.
var (
	ErrStarting          = errors.New("still starting")
	ErrNoBlock           = errors.New("block not found")
	ErrNoWallet          = errors.New("there is no wallet yet")
	ErrWalletExists      = errors.New("there is a wallet already")
	ErrWalletLocked      = errors.New("the wallet is locked")
	ErrWalletUnlocked    = errors.New("the wallet is unlocked already")
	ErrWrongPassphrase   = errors.New("wrong passphrase")
	ErrInsufficientFunds = errors.New("insufficient funds")
	ErrInvalidAddress    = errors.New("invalid address")
	ErrInvalidValue      = errors.New("invalid value") // words that are no seed, an amount below dust, a fee rate out of range
	ErrWallet            = errors.New("the wallet cannot do it")
)

// sentinels are searched in order, by errors.Is.
var sentinels = []struct {
	err  error
	code int
}{
	{batcher.ErrBusy, CodeBusy},
	{batcher.ErrReadOnly, CodeDatabase},
	{batcher.ErrUnknown, CodeNotFound},
	{ErrStarting, CodeStarting},
	{ErrNoBlock, CodeNotFound},
	{ErrNoWallet, CodeNoWallet},
	{ErrWalletExists, CodeWallet},
	{ErrWalletLocked, CodeUnlockNeeded},
	{ErrWalletUnlocked, CodeAlreadyUnlocked},
	{ErrWrongPassphrase, CodeWrongPassphrase},
	{ErrInsufficientFunds, CodeInsufficientFunds},
	{ErrInvalidAddress, CodeNotFound},
	{ErrInvalidValue, CodeInvalidParameter},
	{ErrWallet, CodeWallet},
	{context.Canceled, CodeMisc},
	{context.DeadlineExceeded, CodeMisc},
}

// errorf makes an answer of that code.
func errorf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// asError turns what a part returned into what is answered.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return &Error{Code: s.code, Message: err.Error()}
		}
	}
	return &Error{Code: CodeMisc, Message: err.Error()}
}
