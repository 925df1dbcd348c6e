package proof

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

// displayed reads a hash as Bitcoin's people write it.
func displayed(t testing.TB, s string) [32]byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 32 {
		t.Fatalf("bad hash %q in the test", s)
	}
	slices.Reverse(b)
	return [32]byte(b)
}

// testTx serializes a transaction without witnesses: one input, and the output scripts.
func testTx(lockTime uint32, scripts ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	b = append(b, 1)
	b = append(b, bytes.Repeat([]byte{0xaa}, 36)...)
	b = append(b, 0)
	b = binary.LittleEndian.AppendUint32(b, 0xfffffffd)
	b = append(b, byte(len(scripts)))
	for i, s := range scripts {
		b = binary.LittleEndian.AppendUint64(b, uint64(i)*1000)
		b = append(append(b, byte(len(s))), s...)
	}
	return binary.LittleEndian.AppendUint32(b, lockTime)
}

func opReturn(root []byte) []byte { return append([]byte{0x6a, byte(len(root))}, root...) }

var p2wpkh = append([]byte{0x00, 0x14}, make([]byte, 20)...)

func TestBranchesOfRealBlocksClimbToTheirMerkleRoots(t *testing.T) {
	for name, block := range map[string]struct {
		root  string
		txids []string
	}{
		"block 0, one transaction": {
			"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
			[]string{"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"},
		},
		"block 170, two": {
			"7dac2c5666815c17a3b36427de37bb9d2e2c5ccec3f8633eb91a4205cb4c10ff",
			[]string{
				"b1fea52486ce0c62bb442b530a3f0132b826c74e473d1f2c220bfa78111c5082",
				"f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16",
			},
		},
		"block 586, three": {
			"197b3d968ce463aa5da7d8eeba8af35eba80ded4e4fe6808e6cc0dd1c069594d",
			[]string{
				"d45724bacd1480b0c94d363ebf59f844fb54e60cdfda0cd38ef67154e9d0bc43",
				"4d6edbeb62735d45ff1565385a8b0045f066055c9425e21540ea7a8060f08bf2",
				"6bf363548b08aa8761e278be802a2d84b8e40daefe8150f9af7dd7b65a0de49f",
			},
		},
		"block 100000, four": {
			"f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766",
			[]string{
				"8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
				"fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
				"6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
				"e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var txids [][32]byte
			for _, id := range block.txids {
				txids = append(txids, displayed(t, id))
			}
			for i, txid := range txids {
				if got := BlockRootFromBranch(txid, BlockBranch(txids, i), uint32(i)); got != displayed(t, block.root) {
					t.Errorf("the branch of transaction %d leads to %s", i, reversedHex(got))
				}
			}
		})
	}
}

func TestBranchesOfBlocksOfAnySizeClimbToOneRoot(t *testing.T) {
	for n := 1; n <= 70; n++ {
		txids := numbered(n)
		root := BlockRootFromBranch(txids[0], BlockBranch(txids, 0), 0)
		for i, txid := range txids {
			branch := BlockBranch(txids, i)
			if BlockRootFromBranch(txid, branch, uint32(i)) != root {
				t.Fatalf("the branch of transaction %d of %d leads elsewhere", i, n)
			}
		}
	}
}

func TestACommitmentIsTakenFromOutputZero(t *testing.T) {
	root := bytes.Repeat([]byte{0x5a}, 32)
	got, err := Commitment(testTx(800000, opReturn(root), p2wpkh))
	if err != nil || !bytes.Equal(got[:], root) {
		t.Errorf("got %x, %v", got, err)
	}
	got, err = Commitment(testTx(0, opReturn(root))) // no change
	if err != nil || !bytes.Equal(got[:], root) {
		t.Errorf("without change: got %x, %v", got, err)
	}
}

func TestTransactionsWithoutACommitmentAreRefusedWithTheReason(t *testing.T) {
	root := bytes.Repeat([]byte{0x5a}, 32)
	good := testTx(7, opReturn(root), p2wpkh)
	edit := func(at int, with ...byte) []byte { return slices.Replace(bytes.Clone(good), at, at+1, with...) }
	segwit := slices.Insert(bytes.Clone(good), 4, 0x00, 0x01)

	// 64 bytes, whole: 4+1+36+1+4+1+8+1+4+4 = 64 with a script of 4 bytes.
	small := testTx(7, []byte{1, 2, 3, 4})
	if len(small) != 64 {
		t.Fatalf("the small transaction has %d bytes", len(small))
	}
	for name, c := range map[string]struct {
		tx   []byte
		want string
	}{
		"nothing":                        {nil, "ends within the version at byte 0"},
		"a transaction cut short":        {good[:len(good)-1], "ends within the lock time at byte"},
		"a transaction cut in an output": {good[:60], "ends within an output's script"},
		"bytes after it":                 {append(bytes.Clone(good), 0), "1 bytes follow"},
		"one of 64 bytes":                {small, "64 bytes cannot be told from a node"},
		"one with witnesses":             {segwit, "serialized with witnesses"},
		"one without inputs":             {edit(4, 0x00, 0x00), "no inputs"},
		"one without outputs":            {slices.Concat(good[:46], []byte{0, 0, 0, 0, 0}), "no outputs"},
		"a count in too many bytes":      {edit(4, 0xfd, 0x01, 0x00), "written in more bytes than it needs"},
		"a count far above what follows": {edit(4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), "ends within an input's"},
		"a script far longer than it is": {edit(41, 0xfe, 0xff, 0xff, 0xff, 0x7f), "ends within an input's script"},
		"the commitment in output 1":     {testTx(7, p2wpkh, opReturn(root)), "the script of output 0 is 0014"},
		"31 bytes":                       {testTx(7, opReturn(root[1:])), "it must be OP_RETURN and a push of 32 bytes"},
		"a prefix":                       {testTx(7, opReturn(append([]byte("x"), root...))), "it must be OP_RETURN"},
		"something after the push":       {testTx(7, append(opReturn(root), 0x51)), "it must be OP_RETURN"},
		"a longer push of 32 bytes":      {testTx(7, append([]byte{0x6a, 0x4c, 0x20}, root...)), "it must be OP_RETURN"},
		"no OP_RETURN":                   {testTx(7, append([]byte{0x51, 0x20}, root...)), "it must be OP_RETURN"},
		"an empty script":                {testTx(7, nil, p2wpkh), "it must be OP_RETURN"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Commitment(c.tx)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %x, %v, want an error with %q", got, err, c.want)
			}
		})
	}
}

// The bug that it catches: an OP_RETURN that explorers show first is overlooked, and a later one is
// taken for the commitment.
func TestTheFirstOpReturnCountsWhereverItStands(t *testing.T) {
	root, other := bytes.Repeat([]byte{0x5a}, 32), bytes.Repeat([]byte{0xa5}, 32)
	for name, tx := range map[string][]byte{
		"output 0":                 testTx(7, opReturn(root), p2wpkh),
		"output 1":                 testTx(7, p2wpkh, opReturn(root)),
		"before another":           testTx(7, p2wpkh, opReturn(root), opReturn(other)),
		"after an empty script":    testTx(7, nil, opReturn(root)),
		"after 32 bytes elsewhere": testTx(7, append([]byte{0x51, 0x20}, other...), opReturn(root)),
	} {
		at, err := FirstCommitment(tx)
		if err != nil || !bytes.Equal(tx[at:at+32], root) {
			t.Errorf("%s: got %d, %v", name, at, err)
		}
	}
	for want, tx := range map[string][]byte{
		"none of the 2 outputs":             testTx(7, p2wpkh, p2wpkh),
		"the script of output 1 is 6a04":    testTx(7, p2wpkh, opReturn(root[:4]), opReturn(root)),
		"a transaction of 64 bytes":         testTx(7, []byte{0x6a, 2, 3, 4}),
		"ends within the lock time at byte": testTx(7, opReturn(root))[:92],
	} {
		if at, err := FirstCommitment(tx); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %d, %v, want an error with %q", at, err, want)
		}
	}
}

func TestAnIDIsThatOfARealTransaction(t *testing.T) {
	// The first payment ever, from block 170.
	tx, err := hex.DecodeString("0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd3704000000004847304402204e45e16932b8af514961a1d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4acdd12909d831cc56cbbac4622082221a8768d1d0901ffffffff0200ca9a3b00000000434104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71302fa28414e7aab37397f554a7df5f142c21c1b7303b8a0626f1baded5c72a704f7e6cd84cac00286bee0000000043410411db93e1dcdb8a016b49840f8c53bc1eb68a382e97b1482ecad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3ac00000000")
	if err != nil {
		t.Fatal(err)
	}
	if got := reversedHex(TxID(tx)); got != "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16" {
		t.Errorf("got %s", got)
	}
	if _, err := parseTx(tx); err != nil {
		t.Errorf("it is not taken for a transaction: %v", err)
	}
}
