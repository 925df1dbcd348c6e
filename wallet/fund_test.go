package wallet

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"ancre/internal/txsize"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"pgregory.net/rapid"
)

var testScript = append([]byte{0, 20}, make([]byte, 20)...) // P2WPKH

func purse(values ...int64) []coin {
	var coins []coin
	for i, v := range values {
		coins = append(coins, coin{
			OutPoint: wire.OutPoint{Hash: chainhash.Hash{byte(i), byte(i >> 8)}},
			out:      wire.NewTxOut(v, testScript),
			height:   1,
		})
	}
	return coins
}

func anchorOrder(rate int64) order {
	return order{what: "this anchor", out: anchorOutput([32]byte{1}), satPerVByte: rate, lockTime: 7}
}

// signedSize is the virtual size once signatures of the longest kind are in.
func signedSize(tx *wire.MsgTx) int64 {
	tx = tx.Copy()
	for _, in := range tx.TxIn {
		in.Witness = wire.TxWitness{make([]byte, signatureSize), make([]byte, 33)}
	}
	return txsize.VSize(tx)
}

func (d *draft) fee() int64 {
	var fee int64
	for _, out := range d.prevouts {
		fee += out.Value
	}
	for _, out := range d.tx.TxOut {
		fee -= out.Value
	}
	return fee
}

func TestTheUsualAnchorHas153VB(t *testing.T) {
	t.Parallel()
	o := anchorOrder(3)
	d, err := o.fund(purse(100_000), testScript)
	if err != nil {
		t.Fatal(err)
	}
	if got := signedSize(d.tx); got != 153 {
		t.Errorf("%d vB, want 153", got)
	}
	if got := d.fee(); got != 3*153 {
		t.Errorf("fee %d, want %d", got, 3*153)
	}
	if d.tx.Version != 2 || d.tx.LockTime != 7 || d.tx.TxIn[0].Sequence != 0xfffffffd {
		t.Errorf("version %d, lock time %d, sequence %x", d.tx.Version, d.tx.LockTime, d.tx.TxIn[0].Sequence)
	}
}

func TestWhichCoinsAreTaken(t *testing.T) {
	t.Parallel()
	// Fee of one input at 1 sat/vB: 153 with change, 122 without.
	for name, c := range map[string]struct {
		coins []int64
		rate  int64
		want  []int64
	}{
		"the smallest that leaves room for higher fees": {[]int64{1_000_000, 300, 20_000, 50_000, 3_059}, 1, []int64{20_000}},
		"twenty times the fee are room enough":          {[]int64{1_000_000, 3_060}, 1, []int64{3_060}},
		"the largest, when none leaves room":            {[]int64{1000, 2000, 3000}, 1, []int64{3000}},
		"one that pays without change":                  {[]int64{294}, 1, []int64{294}},
		"the fewest, when no single one is enough":      {[]int64{800, 1200, 900}, 10, []int64{1200, 900}},
		"never one that costs more than it is worth":    {[]int64{680, 2500, 680, 679}, 10, []int64{2500}},
	} {
		t.Run(name, func(t *testing.T) {
			o := anchorOrder(c.rate)
			d, err := o.fund(purse(c.coins...), testScript)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, out := range d.prevouts {
				got = append(got, out.Value)
			}
			if len(got) != len(c.want) {
				t.Fatalf("took %d, want %d", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Fatalf("took %d, want %d", got, c.want)
				}
			}
		})
	}
}

func TestWhatIsAddedToGivenCoins(t *testing.T) {
	t.Parallel()
	// Two inputs and change cost 221 at 1 sat/vB, one 153.
	for name, c := range map[string]struct {
		given, coins []int64
		rate         int64
		want         []int64
	}{
		"nothing, when they are enough":                        {[]int64{1_000}, []int64{50_000}, 1, nil},
		"one more, when they leave no change":                  {[]int64{122}, []int64{50_000}, 1, []int64{50_000}},
		"nothing, when more would leave no change either":      {[]int64{122}, []int64{300}, 1, nil},
		"nothing, when there is no more":                       {[]int64{122}, nil, 1, nil},
		"nothing, though several are given":                    {[]int64{400, 400, 400}, []int64{50_000}, 3, nil},
		"the smallest that leaves room, counting what is here": {[]int64{900}, []int64{40_000, 34_460, 34_459, 5_000}, 8, []int64{34_460}},
		"the fewest, when no single one is enough":             {[]int64{1_000}, []int64{900, 1_000, 950}, 9, []int64{1_000, 950}},
		"the fewest, when none leave change":                   {[]int64{1_000}, []int64{900, 1_000, 950}, 11, []int64{1_000, 950}},
	} {
		t.Run(name, func(t *testing.T) {
			o := anchorOrder(c.rate)
			for i, sats := range c.given {
				o.given = append(o.given, coin{OutPoint: wire.OutPoint{Index: uint32(9 + i)}, out: wire.NewTxOut(sats, testScript)})
			}
			d, err := o.fund(purse(c.coins...), testScript)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, out := range d.prevouts[len(c.given):] {
				got = append(got, out.Value)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("added %d, want %d", got, c.want)
			}
		})
	}
}

func TestAShortageSaysWhatADepositHasToBe(t *testing.T) {
	t.Parallel()
	o := anchorOrder(50)
	o.what = AnchorOrder{SatPerVByte: 50, Change: testScript}.what()
	o.given = []coin{{OutPoint: wire.OutPoint{Index: 9}, out: wire.NewTxOut(5_000, testScript)}}
	coins := purse(4_000, 3_000, 30_000)
	coins[2].leased = true
	coins = append(coins, o.given[0]) // listed, and leased: neither counted twice nor waited for
	coins[3].leased = true
	_, err := o.fund(coins, testScript)
	var short *ShortageError
	if !errors.As(err, &short) {
		t.Fatalf("got %v, want a shortage", err)
	}
	// The smaller coin is worth less than the 3,400 that it costs to spend. Three inputs: 258 vB
	// without change.
	if short.Have != 9_000 || short.Cost != 50*258 || short.Waiting != 30_000 || short.Missing != 50*258-9_000 {
		t.Errorf("%+v", *short)
	}
	short.Address = "bcrt1qxyz"
	want := "the wallet lacks 3,900 sat for replacing an anchor in flight at 50 sat/vB (9,000 sat can be spent on it now):" +
		" wait until the 30,000 sat of transactions in flight are mined, or send bitcoin to bcrt1qxyz"
	if err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	short.Address, short.Waiting = "", 0
	if !strings.HasSuffix(err.Error(), "now): send bitcoin to the address that `ancre wallet address` shows") {
		t.Errorf("got %v", err)
	}
}

func TestWhatMayNotBeSpentIsNot(t *testing.T) {
	t.Parallel()
	coins := purse(10_000, 20_000, 30_000)
	coins[0].leased, coins[1].height, coins[2].immature = true, -1, true
	o := anchorOrder(1)
	_, err := o.fund(coins, testScript)
	var short *ShortageError
	if !errors.As(err, &short) {
		t.Fatalf("got %v, want a shortage", err)
	}
	if short.Waiting != 60_000 {
		t.Errorf("%d sats are waiting, want 60000: %v", short.Waiting, err)
	}
}

// For any coins, given ones among them or not, and any rate: either the transaction is right to the
// satoshi, or the shortage that is told is exactly what is missing.
func TestFunding(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(1, 5_000), 0, 30).Draw(t, "coins")
		o, coins := drawOrder(t, purse(values...))
		d, err := o.fund(coins, testScript)
		var short *ShortageError
		if errors.As(err, &short) {
			checkShortage(t, o, coins, short)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		checkOutputs(t, o, d)
		checkInputs(t, o, d)
		slices.Sort(values)
		slices.Reverse(values)
		checkFewest(t, o, d, values)
	})
}

// drawOrder draws an order. Coins that it gives may be listed or not, leased or not, and worth less
// than their fee.
func drawOrder(t *rapid.T, coins []coin) (order, []coin) {
	o := anchorOrder(rapid.Int64Range(1, 60).Draw(t, "rate"))
	if rapid.Bool().Draw(t, "payment") {
		o.out = wire.NewTxOut(rapid.Int64Range(294, 20_000).Draw(t, "sats"), testScript)
	}
	for i, sats := range rapid.SliceOfN(rapid.Int64Range(1, 5_000), 0, 5).Draw(t, "given") {
		c := coin{OutPoint: wire.OutPoint{Hash: chainhash.Hash{0xff, byte(i)}}, out: wire.NewTxOut(sats, testScript)}
		o.given = append(o.given, c)
		if rapid.Bool().Draw(t, "listed") {
			c.leased = rapid.Bool().Draw(t, "leased")
			coins = append(coins, c)
		}
	}
	return o, coins
}

// checkShortage checks that a deposit of what is missing is enough for the same order.
func checkShortage(t *rapid.T, o order, coins []coin, short *ShortageError) {
	if short.MissingSats() < 1 || short.Waiting != 0 {
		t.Fatalf("%d missing, %d waiting", short.MissingSats(), short.Waiting)
	}
	deposit := purse(short.Missing)[0]
	deposit.Index = 1
	if _, err := o.fund(append(coins, deposit), testScript); err != nil {
		t.Fatalf("after depositing %d: %v", short.Missing, err)
	}
}

// checkOutputs checks the change and the fee.
func checkOutputs(t *rapid.T, o order, d *draft) {
	right := o.satPerVByte * signedSize(d.tx)
	switch len(d.tx.TxOut) {
	case 2:
		if d.fee() != right {
			t.Fatalf("fee %d, want %d", d.fee(), right)
		}
		if d.tx.TxOut[1].Value < txsize.DustLimit || string(d.tx.TxOut[1].PkScript) != string(testScript) {
			t.Fatalf("change %+v", d.tx.TxOut[1])
		}
	case 1: // what is over would not have made an output
		if over := d.fee() - right; over < 0 || over >= txsize.DustLimit+o.satPerVByte*txsize.Change {
			t.Fatalf("fee %d, want %d and less than an output more", d.fee(), right)
		}
	default:
		t.Fatalf("%d outputs", len(d.tx.TxOut))
	}
}

// checkInputs checks that all given coins come first and in their order, that nothing comes twice,
// and that each added coin is worth its fee.
func checkInputs(t *rapid.T, o order, d *draft) {
	seen := make(map[wire.OutPoint]bool)
	for i, in := range d.tx.TxIn {
		if seen[in.PreviousOutPoint] {
			t.Fatalf("%v is spent twice", in.PreviousOutPoint)
		}
		seen[in.PreviousOutPoint] = true
		if i < len(o.given) && (in.PreviousOutPoint != o.given[i].OutPoint || d.prevouts[i] != o.given[i].out) {
			t.Fatalf("input %d is %v, want %v", i, in.PreviousOutPoint, o.given[i].OutPoint)
		}
		if in.Sequence != replaceable {
			t.Fatalf("sequence %x", in.Sequence)
		}
	}
	for _, out := range d.prevouts[len(o.given):] {
		if out.Value <= o.inputFee() {
			t.Fatalf("a coin of %d is not worth its fee of %d", out.Value, o.inputFee())
		}
	}
}

// checkFewest checks that not one coin too many was added: even the largest ones are not enough
// with one less. For an anchor, enough means that change is left. For payments, and where all coins
// together leave no change, it means that the fee is paid. values are those of all coins, the
// largest first.
func checkFewest(t *rapid.T, o order, d *draft, values []int64) {
	over := func(n int, change []byte) int64 {
		have := sum(o.given) - o.out.Value - o.fee(len(o.given)+n, change)
		for _, v := range values[:n] {
			have += v
		}
		return have
	}
	anchor := o.out.Value == 0
	n := len(d.prevouts) - len(o.given)
	if anchor && len(d.tx.TxOut) == 2 {
		if n > 0 && over(n-1, testScript) >= txsize.DustLimit {
			t.Fatalf("%d coins were added, and %d are enough", n, n-1)
		}
		return
	}
	if n > 0 && over(n-1, nil) >= 0 {
		t.Fatalf("%d coins were added, and %d are enough for the fee", n, n-1)
	}
	if !anchor {
		return
	}
	for n := range len(values) + 1 {
		if (n == 0 || values[n-1] > o.inputFee() && values[n-1] >= txsize.DustLimit) && over(n, testScript) >= txsize.DustLimit {
			t.Fatalf("no change, though %d coins more leave some", n)
		}
	}
}

func TestSendingAllLeavesNothing(t *testing.T) {
	t.Parallel()
	o := order{what: "this payment", out: wire.NewTxOut(0, testScript), all: true, satPerVByte: 2}
	d, err := o.fund(purse(10_000, 100, 20_000), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.tx.TxIn) != 2 || len(d.tx.TxOut) != 1 {
		t.Fatalf("%d inputs and %d outputs, want 2 and 1", len(d.tx.TxIn), len(d.tx.TxOut))
	}
	if want := 2 * signedSize(d.tx); d.fee() != want {
		t.Errorf("fee %d, want %d", d.fee(), want)
	}
	o = order{what: "this payment", out: wire.NewTxOut(0, testScript), all: true, satPerVByte: 2}
	if _, err := o.fund(purse(400), nil); !errors.As(err, new(*ShortageError)) {
		t.Errorf("sending all of nothing: %v, want a shortage", err)
	}
}

func TestDustLimitsAreThoseOfNodes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script []byte
		want   int64
	}{
		"P2WPKH": {testScript, txsize.DustLimit},
		"P2PKH":  {append(append([]byte{0x76, 0xa9, 20}, make([]byte, 20)...), 0x88, 0xac), 546},
		"P2TR":   {append([]byte{0x51, 32}, make([]byte, 32)...), 330},
	} {
		if got := dustOf(c.script); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
