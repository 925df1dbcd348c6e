package server

import (
	"context"
	"fmt"

	"ancre/internal/quota"
	"ancre/rpc"
)

// method is one method of the contract with what the server does for it.
type method struct {
	rpc.Method
	handler
	meter *methodMeter
}

// handler is how the server answers a method.
type handler struct {
	run   func(*call) (any, error)
	early bool             // works while the daemon starts: needs no Services
	cost  func(args) int64 // bytes that a call holds in memory until its answer is written; nil: few
}

// call is one call of a method. Its parameters are read.
type call struct {
	ctx    context.Context
	server *Server
	user   string       // the caller's name
	roles  rpc.Roles    // the caller's
	quota  *quota.Quota // of new digests; nil: there is none
	output *output
	*Services
	method *method
	args
}

// resultWriter is a result that writes itself as JSON.
type resultWriter func(dst []byte) ([]byte, error)

// handlers returns the handler of each method of [rpc.Methods].
func handlers() map[string]handler {
	return map[string]handler{
		rpc.MethodSubmit:      {run: submit},
		rpc.MethodSubmitBatch: {run: submit, cost: func(a args) int64 { return costEntry * int64(len(a.peek("digests").digests)) }},
		rpc.MethodGetStatus:   {run: getStatus},
		rpc.MethodGetProof:    {run: getProof},
		rpc.MethodVerifyProof: {run: verifyProof},

		rpc.MethodWaitChanges: {run: waitChanges, cost: costOf("limit")},

		rpc.MethodListBatches: {run: listBatches, cost: costOf("limit")},
		rpc.MethodGetBatch:    {run: getBatch},
		rpc.MethodCloseBatch:  {run: closeBatch},
		rpc.MethodListAnchors: {run: listAnchors, cost: costOf("limit")},
		rpc.MethodGetAnchor:   {run: getAnchor, cost: func(args) int64 { return costGetAnchor }},

		rpc.MethodCreateWallet:     {run: createWallet},
		rpc.MethodUnlockWallet:     {run: unlockWallet},
		rpc.MethodChangePassphrase: {run: changePassphrase},
		rpc.MethodGetNewAddress:    {run: getNewAddress},
		rpc.MethodGetBalance:       {run: getBalance},
		rpc.MethodListTransactions: {run: listTransactions, cost: costOf("count")},
		rpc.MethodSendToAddress:    {run: sendToAddress},
		rpc.MethodEstimateFee:      {run: estimateFee},

		rpc.MethodGetBlockCount:     {run: getBlockCount},
		rpc.MethodGetBestBlockHash:  {run: getBestBlockHash},
		rpc.MethodGetBlockHash:      {run: getBlockHash},
		rpc.MethodGetBlockHeader:    {run: getBlockHeader},
		rpc.MethodGetBlockchainInfo: {run: getBlockchainInfo},
		rpc.MethodGetNetworkInfo:    {run: getNetworkInfo},

		rpc.MethodGetInfo:      {run: getInfo},
		rpc.MethodBackupDone:   {run: backupDone},
		rpc.MethodBackupFailed: {run: backupFailed},
		rpc.MethodTestNotify:   {run: testNotify},

		rpc.MethodHelp:   {run: help, early: true},
		rpc.MethodStop:   {run: stop, early: true},
		rpc.MethodUptime: {run: uptime, early: true},
	}
}

// methods returns the methods of the contract, in its order, each with its handler.
func methods() []method {
	var list []method
	handlers := handlers()
	for _, m := range rpc.Methods() {
		list = append(list, method{Method: m, handler: handlers[m.Name]})
	}
	return list
}

// What one item of an answer holds in memory while the answer is made: its JSON, and what the JSON
// is made from.
const (
	costEntry     = 512      // of submitbatch: a proof has some 150 bytes, and its calendar's address
	costListed    = 800      // of lists. An anchor of many versions counts for more once it is made
	costGetAnchor = 64 << 10 // versions with their transactions
)

// costOf returns the cost of a list from the parameter that limits its length.
func costOf(param string) func(args) int64 {
	return func(a args) int64 { return costListed * a.peek(param).number }
}

func (m *method) countParams() string {
	if len(m.Params) == 1 {
		return "1 parameter"
	}
	return fmt.Sprintf("%d parameters", len(m.Params))
}

// misuse returns the error code for missing or superfluous parameters: JSON-RPC's own, but
// bitcoind's for methods that bitcoind has too.
func (m *method) misuse() int {
	if m.ofBitcoind() {
		return rpc.CodeMisc
	}
	return rpc.CodeInvalidParams
}

// ofBitcoind reports whether bitcoind has the method too, with the same parameters and answers.
func (m *method) ofBitcoind() bool { return m.Group == rpc.GroupChain }
