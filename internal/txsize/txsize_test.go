package txsize

import (
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
)

// anchor builds the shape of an anchor: P2WPKH inputs with the longest signatures that wallets
// make, an OP_RETURN of 32 bytes, and P2WPKH outputs.
func anchor(inputs, outputs int) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	for range inputs {
		tx.AddTxIn(&wire.TxIn{Witness: wire.TxWitness{make([]byte, 72), make([]byte, 33)}})
	}
	tx.AddTxOut(wire.NewTxOut(0, make([]byte, 2+32)))
	for range outputs {
		tx.AddTxOut(wire.NewTxOut(1000, make([]byte, 22)))
	}
	return tx
}

func TestSizesAreThoseOfTransactions(t *testing.T) {
	for _, c := range []struct {
		name string
		want int64
		got  int64
	}{
		{"the usual anchor", Anchor, VSize(anchor(1, 1))},
		{"the smallest anchor", SmallestAnchor, VSize(anchor(1, 0))},
		{"one input more", Input, VSize(anchor(2, 1)) - Anchor},
		{"one output more", Change, VSize(anchor(1, 2)) - Anchor},
	} {
		if c.got != c.want {
			t.Errorf("%s: a transaction of this shape has %d vB, the constant says %d", c.name, c.got, c.want)
		}
	}
}

// A quarter of the weight is rounded up: 4 units more are 1 vB more, and 1 to 3 count as 4.
func TestVSizeRoundsUp(t *testing.T) {
	tx := anchor(1, 1)
	size := VSize(tx)
	weight := 3*tx.SerializeSizeStripped() + tx.SerializeSize()
	for more := 0; more <= 8; more++ {
		tx.TxIn[0].Witness[0] = make([]byte, 72+more) // a byte of a witness is one unit
		if want := int64((weight + more + 3) / 4); VSize(tx) != want || want < size {
			t.Errorf("%d units: %d vB, want %d", weight+more, VSize(tx), want)
		}
	}
}

// Nodes take an output for dust that is worth less than making and spending it costs at 3 sat/vB.
func TestDustLimit(t *testing.T) {
	const spend = 67 // 41 + 26, as Bitcoin Core rounds down the quarter of the witness's 107 bytes
	if want := int64(3 * (Change + spend)); DustLimit != want {
		t.Errorf("the limit is %d sats, want %d", DustLimit, want)
	}
}
