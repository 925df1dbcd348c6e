package proof

import (
	"bytes"
	"reflect"
	"testing"
)

// addVectors seeds with every vector, from byte skip on.
func addVectors(f *testing.F, skip int) {
	for _, dir := range []string{"valid", "loose", "invalid"} {
		for _, b := range vectors(f, dir) {
			f.Add(b[min(skip, len(b)):])
		}
	}
}

// FuzzParse: whatever is read can be explained and written, and what is written is read as the same and written the same.
func FuzzParse(f *testing.F) {
	addVectors(f, 0)
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := Parse(b)
		if err != nil {
			return
		}
		written, err := first.Marshal()
		if err != nil {
			t.Fatalf("read, but not written: %v", err)
		}
		if len(written) > len(b) {
			t.Fatalf("%d bytes became %d", len(b), len(written))
		}
		second, err := Parse(written)
		if err != nil {
			t.Fatalf("written, but not read: %v\n%x", err, written)
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("%x and %x are read differently", b, written)
		}
		if again, err := second.Marshal(); err != nil || !bytes.Equal(again, written) {
			t.Fatalf("written differently the second time (error %v)", err)
		}
		if _, err := Explain(first); err != nil {
			t.Fatalf("read, but not explained: %v", err)
		}
	})
}

// FuzzParseTimestamp is the same without a file's header, for any message.
func FuzzParseTimestamp(f *testing.F) {
	for _, dir := range []string{"valid", "loose", "invalid"} {
		for _, b := range vectors(f, dir) {
			f.Add(b[min(65, len(b)):], thirtyTwo)
		}
	}
	f.Add(hostile(3), thirtyTwo)
	f.Add([]byte{byte(Hexlify)}, []byte{})
	f.Fuzz(func(t *testing.T, b, msg []byte) {
		first, err := ParseTimestamp(b, msg)
		if err != nil {
			return
		}
		written, err := first.Marshal()
		if err != nil {
			t.Fatalf("read, but not written: %v", err)
		}
		second, err := ParseTimestamp(written, msg)
		if err != nil {
			t.Fatalf("written, but not read: %v\n%x", err, written)
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("%x and %x are read differently", b, written)
		}
	})
}

// FuzzMerge: a merge says what both say, in whichever order, and merging it with a part changes nothing.
func FuzzMerge(f *testing.F) {
	for _, b := range vectors(f, "valid") {
		f.Add(b[min(65, len(b)):], b[min(65, len(b)):])
	}
	f.Add(vector(f, "pending")[65:], vector(f, "several-attestations")[65:])
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, err := ParseTimestamp(a, thirtyTwo)
		if err != nil {
			return
		}
		y, err := ParseTimestamp(b, thirtyTwo)
		if err != nil {
			return
		}
		merged, err := Merge(x, y)
		if err != nil {
			if err.Error() == errWork { // two halves of what may be read are allowed, their sum is not
				return
			}
			t.Fatal(err)
		}
		other, err := Merge(y, x)
		if err != nil || !reflect.DeepEqual(merged, other) {
			t.Fatalf("the order matters (error %v)", err)
		}
		again, err := Merge(merged, x)
		if err != nil && err.Error() != errWork {
			t.Fatal(err)
		}
		if err == nil && !reflect.DeepEqual(again, merged) {
			t.Fatal("merging a part once more changes it")
		}
		want := facts(x)
		for fact := range facts(y) {
			want[fact] = true
		}
		if !reflect.DeepEqual(facts(merged), want) {
			t.Fatal("something was lost or added")
		}
	})
}
