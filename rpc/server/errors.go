package server

import (
	"context"
	"errors"
	"fmt"

	"ancre/batcher"
	"ancre/headers"
	"ancre/rpc"
)

// The errors of [Services]. A service wraps one of them, and that decides the code of the answer.
// The message of the answer is that of the wrapping error: it should say what is wrong and what to
// do.
var (
	ErrStarting          = errors.New("still starting")
	ErrNoWallet          = errors.New("there is no wallet yet")
	ErrWalletExists      = errors.New("there is a wallet already")
	ErrWalletLocked      = errors.New("the wallet is locked")
	ErrWalletUnlocked    = errors.New("the wallet is unlocked already")
	ErrWrongPassphrase   = errors.New("wrong passphrase")
	ErrInsufficientFunds = errors.New("insufficient funds")
	ErrInvalidAddress    = errors.New("invalid address")
	ErrInvalidValue      = errors.New("invalid value") // invalid seed words, an amount below dust, a fee rate out of range
	ErrWallet            = errors.New("the wallet cannot do it")
)

// codes are searched in order, by errors.Is.
var codes = []struct {
	err  error
	code int
}{
	{batcher.ErrBusy, rpc.CodeBusy},
	{batcher.ErrReadOnly, rpc.CodeDatabase},
	{batcher.ErrUnknown, rpc.CodeNotFound},
	{ErrStarting, rpc.CodeStarting},
	{headers.ErrNotFound, rpc.CodeNotFound},
	{ErrNoWallet, rpc.CodeNoWallet},
	{ErrWalletExists, rpc.CodeWallet},
	{ErrWalletLocked, rpc.CodeUnlockNeeded},
	{ErrWalletUnlocked, rpc.CodeAlreadyUnlocked},
	{ErrWrongPassphrase, rpc.CodeWrongPassphrase},
	{ErrInsufficientFunds, rpc.CodeInsufficientFunds},
	{ErrInvalidAddress, rpc.CodeNotFound},
	{ErrInvalidValue, rpc.CodeInvalidParameter},
	{ErrWallet, rpc.CodeWallet},
	{context.Canceled, rpc.CodeMisc},
	{context.DeadlineExceeded, rpc.CodeMisc},
}

// errorf makes an answer with a code.
func errorf(code int, format string, args ...any) *rpc.Error {
	return &rpc.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// asError turns the error of a service into the answer.
func asError(err error) *rpc.Error {
	var e *rpc.Error
	if errors.As(err, &e) {
		return e
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return &rpc.Error{Code: c.code, Message: err.Error()}
		}
	}
	return &rpc.Error{Code: rpc.CodeMisc, Message: err.Error()}
}
