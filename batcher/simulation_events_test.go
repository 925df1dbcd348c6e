package batcher

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"ancre/batcher/store"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// The events of a life.
const (
	evSubmit = iota
	evClose
	evStamp
	evTime
	evJump
	evBlock
	evFork
	evMarket
	evEvict
	evDeaf
	evPeers
	evRates
	evFund
	evSend
	evWallet
	evFull
	evDoom
	evRestart
	evClient
	evSteal
	evDoubleSpend
	evProofs
	evBackup
	numEvents
)

// event is something that may happen in a life.
type event struct {
	weight int // of 400 or so, before the temper
	happen func(*life)
}

var events = [numEvents]event{
	evSubmit:      {20, (*life).submit},
	evClose:       {10, (*life).closeBatch},
	evStamp:       {40, func(l *life) { l.submit(); l.closeBatch() }},
	evTime:        {30, func(l *life) { l.pass(time.Duration(1+l.rng.IntN(180)) * time.Minute) }},
	evJump:        {2, (*life).jump},
	evBlock:       {100, (*life).blocks},
	evFork:        {24, (*life).fork},
	evMarket:      {16, (*life).moveMarket},
	evEvict:       {8, (*life).evict},
	evDeaf:        {10, func(l *life) { l.net.deaf = deafness(l.rng.IntN(3)); l.say("peers: deafness %d", l.net.deaf) }},
	evPeers:       {5, func(l *life) { l.client.peers++; l.say("a peer comes") }},
	evRates:       {10, (*life).rates},
	evFund:        {10, (*life).fund},
	evSend:        {3, (*life).send},
	evWallet:      {6, (*life).wallet},
	evFull:        {3, func(l *life) { l.frail.full = !l.frail.full; l.say("disk full: %t", l.frail.full) }},
	evDoom:        {20, (*life).arrange},
	evRestart:     {6, func(l *life) { l.say("restart"); l.restart() }},
	evClient:      {8, (*life).lag},
	evSteal:       {1, (*life).steal},
	evDoubleSpend: {1, (*life).doubleSpend},
	evProofs:      {5, func(l *life) { l.proofs() }},
	evBackup:      {1, (*life).backup},
}

// submit submits new digests, and some that were submitted before.
func (l *life) submit() {
	n := 1 + l.rng.IntN(4)
	if l.chance(200) {
		n = 600
	}
	var all [][32]byte
	for range n {
		if len(l.judge.order) > 0 && l.chance(4) {
			all = append(all, l.judge.order[l.rng.IntN(len(l.judge.order))])
			continue
		}
		l.digests++
		all = append(all, sha256.Sum256(binary.BigEndian.AppendUint64(nil, l.digests)))
	}
	sts, err := l.b.Submit(context.Background(), all)
	l.say("submit %d digests: %v", n, refusal(err))
	if err != nil {
		l.tolerate("submit", err)
		return
	}
	for i, st := range sts {
		if st.Digest != all[i] {
			l.fail("P1: submit answers about digest %.4x for %.4x", st.Digest, all[i])
		}
	}
	l.judge.acknowledged(sts)
}

// tolerate ignores an error that the life itself caused.
func (l *life) tolerate(what string, err error) {
	if !l.judge.expected(err) && !l.frail.dead && !l.killed {
		l.fail("%s: %v", what, err)
	}
}

// refusal is an error as the story tells it. Whether a failed store refuses, or the daemon that
// stops because of it, depends on the moment.
func refusal(err error) error {
	if errors.Is(err, ErrReadOnly) {
		return ErrReadOnly
	}
	return err
}

func (l *life) closeBatch() {
	id, err := l.b.committer.close(context.Background(), 0)
	l.say("closebatch: batch %d, %v", id, refusal(err))
	if err != nil {
		l.tolerate("closebatch", err)
	}
}

func (l *life) pass(d time.Duration) {
	l.clock = l.clock.Add(d)
	l.say("%s pass", d)
}

func (l *life) jump() {
	d := time.Duration(l.rng.IntN(20*24)-24) * time.Hour
	l.clock = l.clock.Add(d)
	l.say("the clock jumps by %s", d)
}

func (l *life) anyKind() kind {
	total := 0
	for _, w := range l.kinds {
		total += w
	}
	at := l.rng.IntN(total)
	k := kind(0)
	for at -= l.kinds[k]; at >= 0; at -= l.kinds[k] {
		k++
	}
	return k
}

// mineAny mines one block of any kind. The client sees it unless it lags.
func (l *life) mineAny() {
	current := l.client.current()
	l.clock = l.clock.Add(time.Duration(1+l.rng.IntN(20)) * time.Minute)
	k := l.anyKind()
	b := l.net.mine(k)
	l.say("block %d, %s, of %d payments", b.height, kindNames[k], len(b.txs))
	if current {
		l.client.see(l.net.active)
	}
}

func (l *life) blocks() {
	if l.chance(120) {
		l.sleep()
		return
	}
	n := 1 + l.rng.IntN(3)
	if l.chance(12) {
		n = 10 + l.rng.IntN(20)
	}
	for i := range n {
		if i > 0 && !l.chance(4) {
			l.work()
		}
		if l.violation != "" {
			return
		}
		l.mineAny()
	}
	if l.chance(6) {
		l.client.see(l.net.active)
	}
}

// sleep lets more blocks pass than the daemon remembers, and more than a final anchor is watched
// for.
func (l *life) sleep() {
	n := 90 + l.rng.IntN(150)
	l.say("%d blocks pass while nobody looks", n)
	for range n {
		l.net.mine(l.anyKind())
	}
	l.clock = l.clock.Add(time.Duration(n) * 10 * time.Minute)
	l.client.see(l.net.active)
	l.judge.rare[rareSlept] = true
}

// fork replaces the newest blocks by a longer branch. Their transactions return to the mempool, are
// mined again or forgotten, or other versions are mined instead.
func (l *life) fork() {
	depth := 1 + l.rng.IntN(3)
	if l.chance(3) {
		depth = 1 + l.rng.IntN(deepestFork)
	}
	depth = min(depth, int(l.net.height())-ancientHeight)
	if depth < 1 {
		return
	}
	l.net.tallest = max(l.net.tallest, l.net.height())
	var lost []*payment
	for range depth {
		k := l.net.disconnect()
		lost = append(slices.Clone(k.txs), lost...) // in the order in which they were mined
	}
	fate := l.rng.IntN(3)
	l.say("a fork of %d blocks from height %d; %d payments lost, which are %s", depth, l.net.height(), len(lost), [...]string{"forgotten", "back in the mempool", "mined again"}[fate])
	for _, p := range lost {
		l.net.keep(p)
		if !p.deposit {
			continue
		}
		switch {
		case l.chance(20):
			p.never = true
			l.say("the deposit %.8s is double-spent for good", p.txid)
		case l.chance(2):
			p.due = l.net.height() + 1 + int32(l.rng.IntN(20))
			l.say("the deposit %.8s comes back at height %d", p.txid, p.due)
		default:
			p.due = l.net.height() + 1
		}
	}
	l.net.sweep()
	if fate == 1 {
		for _, p := range lost {
			if !p.deposit && !slices.Contains(l.net.pool, p) {
				_ = l.net.accept(p)
			}
		}
	}
	if l.chance(4) { // the client learns of it while it is under way
		l.net.forking = true
		l.client.see(l.net.active)
		l.work()
		l.net.forking = false
	}
	for i := range depth + 1 + l.rng.IntN(2) {
		if fate == 2 && i == 0 {
			l.net.connect(l.net.choose(lost))
			continue
		}
		k := l.anyKind()
		if l.chance(3) {
			k = stranger
		}
		l.net.mine(k)
	}
	l.judge.reorganised(depth)
	if !l.chance(6) {
		l.client.see(l.net.active)
	}
}

func (l *life) moveMarket() {
	l.net.market = [...]int64{1, 2, 5, 10, 20, 60, 150}[l.rng.IntN(7)]
	l.net.minRate = [...]int64{0, 1, 1, 1, 3, 10, 40}[l.rng.IntN(7)]
	l.net.increment = [...]float64{1, 1, 1, 1, 0.1, 5}[l.rng.IntN(6)]
	l.net.evict()
	if !l.chance(4) {
		l.client.estimate, l.client.floor = l.net.market, max(1, l.net.minRate)
	}
	l.say("market %d, minimum %d, increment %g; %d payments in the mempool", l.net.market, l.net.minRate, l.net.increment, len(l.net.pool))
}

func (l *life) evict() {
	if l.chance(2) {
		l.net.pool = nil
		l.say("the mempool is forgotten")
		return
	}
	if n := len(l.net.pool); n > 0 {
		p := l.net.pool[l.rng.IntN(n)]
		l.say("the mempool drops %s", l.judge.name(p.txid))
		l.net.pool = slices.DeleteFunc(l.net.pool, func(x *payment) bool { return x == p })
		l.net.sweep()
	}
}

// rates changes what the client reports of the market, true or not.
func (l *life) rates() {
	l.client.estimate = max(1, l.net.market)
	l.client.floor = max(1, l.net.minRate)
	l.client.ratesErr = nil
	switch l.rng.IntN(4) {
	case 0:
		l.client.floor = [...]int64{1, 30, 1000, 100_000}[l.rng.IntN(4)]
	case 1:
		l.client.estimate = 1 + l.rng.Int64N(300)
	case 2:
		l.client.ratesErr = errFetch
	}
	l.say("rates: estimate %d, floor %d, %v", l.client.estimate, l.client.floor, l.client.ratesErr)
}

// deposit pays the wallet from outside.
func (l *life) deposit(sats int64, due int32) {
	tx := wire.NewMsgTx(2)
	l.net.nonce++
	tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: sha256.Sum256(fmt.Append(nil, "elsewhere", l.net.nonce))}})
	tx.AddTxOut(wire.NewTxOut(sats, l.purse.script()))
	p := l.net.payment(tx)
	p.deposit, p.fee, p.due = true, 0, due
	l.net.keep(p)
	l.say("a deposit of %d sats, mined at height %d: %.8s", sats, p.due, p.txid)
}

func (l *life) fund() {
	for range 1 + l.rng.IntN(3) {
		sats := [...]int64{300, 600, 1_000, 2_500, 10_000, 30_000, 100_000}[l.rng.IntN(l.riches)] + l.rng.Int64N(500)
		l.deposit(sats, l.net.height()+1+int32(l.rng.IntN(2)))
	}
}

func (l *life) send() {
	if p := l.purse.send(); p != nil {
		_ = l.net.accept(p)
		l.net.keep(p)
		l.say("the operator spends %s", l.judge.coinsOf(p.MsgTx))
	}
}

func (l *life) wallet() {
	l.purse.ready = [...]error{nil, nil, errLocked, errBehind}[l.rng.IntN(4)]
	l.say("wallet: %v", l.purse.ready)
}

// arrange has the process die, or its disk fail, some calls from now.
func (l *life) arrange() {
	l.doom, l.doomFate = 1+l.rng.IntN(12), fate(1+l.rng.IntN(4))
}

// lag stops the client from seeing new blocks, lets it see them again, or makes fetching fail.
func (l *life) lag() {
	switch l.rng.IntN(4) {
	case 0:
		l.client.unsynced = !l.client.unsynced
	case 1:
		l.client.failing = [...]int{0, 0, 30, 100}[l.rng.IntN(4)]
	default:
		l.client.unsynced, l.client.failing = false, 0
		l.client.see(l.net.active)
	}
	l.say("client: unsynced %t, failing %d, at height %d", l.client.unsynced, l.client.failing, l.client.tip().height)
}

// steal has someone else who knows the words spend a coin of an anchor in flight.
func (l *life) steal() {
	for _, a := range slices.Backward(l.disk.anchors) {
		if a.State != store.Broadcast {
			continue
		}
		tx := wire.NewMsgTx(2)
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: a.Versions[0].Tx.TxIn[0].PreviousOutPoint})
		tx.AddTxOut(wire.NewTxOut(330, []byte{txscript.OP_TRUE}))
		p := l.net.payment(tx)
		if l.net.funded(p) {
			l.say("somebody else spends the coin of anchor %d", a.ID)
			l.net.keep(p)
			l.net.pool = slices.DeleteFunc(l.net.pool, func(x *payment) bool { return shareCoin(x.MsgTx, tx) })
			l.net.sweep()
			l.net.pool = append(l.net.pool, p)
		}
		return
	}
}

// doubleSpend invalidates a deposit that waits to be mined again.
func (l *life) doubleSpend() {
	for _, p := range l.net.heard {
		if p.deposit && p.in == nil && !p.never {
			p.never = true
			l.say("the deposit %.8s is double-spent for good", p.txid)
			return
		}
	}
}

// backup takes a backup. Some events later it may be all that is left.
func (l *life) backup() {
	flying := slices.ContainsFunc(l.disk.anchors, func(a store.Anchor) bool { return a.State == store.Broadcast })
	if l.image == nil && (flying || l.chance(4)) {
		l.image, l.imageWent, l.burns = l.disk.backup(), maps.Clone(l.judge.went), 1+l.rng.IntN(15)
		l.say("a backup")
	}
}

// restore begins again from the backup.
func (l *life) restore() {
	l.say("the backup is restored")
	l.judge.rare[rareRestored] = true
	l.killed = true
	l.stop()
	l.judge.restore(l.image)
	l.disk, l.image = l.image, nil
	clear(l.purse.leases)
	l.start()
	l.judge.every()
}

func (l *life) proofs() {
	if _, err := l.b.Overview(context.Background()); err != nil {
		l.fail("overview: %v", err)
	}
	for i, d := range l.judge.order {
		if i >= 5 || l.violation != "" {
			return
		}
		l.judge.prove(d)
	}
}
