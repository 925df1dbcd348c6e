// Package boltfile reads a bbolt database file, and says whether bbolt can.
//
// bbolt maps its file into memory and trusts what it finds there: a damaged page makes it panic,
// loop, or touch memory that is not mapped, often in a goroutine of a library, where nothing can
// recover from it. So this package walks over the whole file with ordinary reads before it is
// opened. A file that passes has no page that bbolt could stumble over.
package boltfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"os"

	"ancre/internal/atomicfile"

	"github.com/gofrs/flock"
)

// ErrInUse is returned for a file that another process has open. It may be in the middle of a
// change.
var ErrInUse = errors.New("the file is in use")

// ErrEmpty is returned for a file without a byte. bbolt takes it for a new database.
var ErrEmpty = errors.New("the file is empty")

// ErrDamaged is wrapped by the errors about the contents of a file. Errors of the system that come
// from reading it do not wrap it.
var ErrDamaged = errors.New("the file is damaged")

func damagedf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
}

// Info is what a whole file says about itself.
type Info struct {
	Tx uint64 // the number of the newest transaction

	// FellBack is set if one of the two descriptions at the beginning of the file is damaged. Then
	// the other one counts, and the last transaction may be missing. A crash leaves the same.
	FellBack bool

	// Sum is the hash of all keys and values in their order, without the value of Options.Except.
	// The same contents have the same sum, wherever they lie in the file.
	Sum    [sha256.Size]byte
	Except []byte // the value of that key
}

// Options are for [Check].
type Options struct {
	Sum    bool   // compute Info.Sum
	Except string // with Sum: a key whose value is no part of it; empty: none
}

// The layout of a bbolt file, version 2: pages with a header of 16 bytes. Pages 0 and 1 are the
// descriptions, of which the one with the later transaction counts. All numbers are in the
// machine's order, and all machines that we build for are little endian.
const (
	magic   = 0xED0CDAED
	version = 2

	pageHeader    = 16 // number (8), flags (2), count (2), further pages that belong to it (4)
	elementSize   = 16 // of both kinds of pages
	bucketSize    = 16 // at the beginning of a bucket's value: root (8), sequence (8)
	metaSize      = 64
	minPage       = 1 << 10
	maxPage       = 16 << 20
	noFreelist    = ^uint64(0)
	longFreelist  = 0xFFFF // a count that says: the count is the first number of the list
	branchPage    = 0x01
	leafPage      = 0x02
	freelistPage  = 0x10
	bucketElement = 0x01

	// warmAbove is the size above which Check reads the file once in order before it follows the
	// pages: a rotating disk reads in order many times faster.
	warmAbove = 8 << 20
)

// Check reads a whole file and checks its pages. It changes nothing. It needs memory for some
// pages, and one bit for each page of the file.
func Check(path string, o Options) (Info, error) {
	if info, err := os.Stat(path); err != nil { // before it is opened: a FIFO would keep us waiting
		return Info{}, err
	} else if !info.Mode().IsRegular() {
		return Info{}, fmt.Errorf("it %w", &atomicfile.KindError{Mode: info.Mode()})
	}
	// bbolt takes the same lock, for writing.
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	if ok, err := lock.TryRLock(); err != nil {
		return Info{}, err
	} else if !ok {
		return Info{}, ErrInUse
	}
	defer func() { _ = lock.Close() }()
	f, err := os.Open(path)
	if err != nil {
		return Info{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return Info{}, err
	}
	if info.Size() == 0 {
		return Info{}, ErrEmpty
	}
	if info.Size() > warmAbove {
		if _, err := io.Copy(io.Discard, f); err != nil {
			return Info{}, err
		}
	}
	c := checker{f: f, size: uint64(info.Size()), except: []byte(o.Except)}
	if o.Sum {
		c.content = sha256.New()
	}
	if err := c.check(); err != nil {
		return Info{}, err
	}
	out := Info{Tx: c.meta.tx, FellBack: c.fellBack, Except: c.excepted}
	if o.Sum {
		c.content.Sum(out.Sum[:0])
	}
	return out, nil
}

// meta is one of the two descriptions.
type meta struct {
	pageSize, root, freelist, pages, tx uint64
}

// checker walks over one file.
type checker struct {
	f       io.ReaderAt
	size    uint64
	content hash.Hash // nil: not wanted
	except  []byte
	seen    []uint64 // a bit for each page that belongs to the tree or the freelist
	buffers [][]byte // one for each depth

	meta     meta
	fellBack bool
	excepted []byte
}

func (c *checker) check() (err error) {
	if c.fellBack, err = c.readMeta(); err != nil {
		return err
	}
	m := c.meta
	if m.pages > c.size/m.pageSize {
		return damagedf("it has %d bytes and should have %d", c.size, m.pages*m.pageSize)
	}
	c.seen = make([]uint64, (m.pages+63)/64)
	if err := c.bucket(m.root, 0); err != nil {
		return err
	}
	if m.freelist == noFreelist {
		return nil
	}
	return c.freelist()
}

// readMeta finds the description that counts, as bbolt does.
func (c *checker) readMeta() (fellBack bool, err error) {
	first, err := c.metaAt(0)
	if err != nil {
		return false, err
	}
	if first != nil {
		second, err := c.metaAt(first.pageSize)
		if err != nil {
			return false, err
		}
		c.meta = *first
		if second != nil && second.pageSize == first.pageSize && second.tx > first.tx {
			c.meta = *second
		}
		return second == nil, nil
	}
	for at := uint64(minPage); at <= maxPage; at *= 2 {
		second, err := c.metaAt(at)
		if err != nil {
			return false, err
		}
		if second != nil && second.pageSize == at {
			c.meta = *second
			return true, nil
		}
	}
	return false, damagedf("it is not a database, or its beginning is lost")
}

// metaAt reads the description at that place; nil: there is none.
func (c *checker) metaAt(at uint64) (*meta, error) {
	b := make([]byte, pageHeader+metaSize)
	if _, err := c.f.ReadAt(b, int64(at)); err == io.EOF {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	m := b[pageHeader:]
	sum := fnv.New64a()
	sum.Write(m[:metaSize-8])
	le := binary.LittleEndian
	if le.Uint32(m) != magic || le.Uint32(m[4:]) != version || le.Uint64(m[metaSize-8:]) != sum.Sum64() {
		return nil, nil
	}
	found := &meta{pageSize: uint64(le.Uint32(m[8:])), root: le.Uint64(m[16:]), freelist: le.Uint64(m[32:]), pages: le.Uint64(m[40:]), tx: le.Uint64(m[48:])}
	if found.pageSize < minPage || found.pageSize > maxPage || found.pageSize&(found.pageSize-1) != 0 {
		return nil, nil
	}
	return found, nil
}

// page is one page with those that belong to it, or a bucket that lies inside of a value.
type page struct {
	name  pageName
	flags uint16
	count int
	data  []byte
}

// pageName says where a page is. It is put into words only for an error: neutrino's index has
// 65,536 buckets.
type pageName struct {
	id    uint64
	entry int    // 1 + the entry whose bucket the page is; 0: it is a page of the file
	of    string // where that entry is, if not on a page of the file
}

func (n pageName) String() string {
	of := n.of
	if of == "" {
		of = fmt.Sprintf("page %d", n.id)
	}
	if n.entry == 0 {
		return of
	}
	return fmt.Sprintf("the bucket in entry %d of %s", n.entry-1, of)
}

// inside returns the name of the bucket in an entry of the page.
func (n pageName) inside(entry int) pageName {
	in := pageName{id: n.id, entry: entry + 1}
	if n.entry > 0 {
		in.of = n.String()
	}
	return in
}

// mark notes that pages are in use, and fails when they are already.
func (c *checker) mark(id, n uint64) error {
	for i := id; i < id+n; i++ {
		if c.seen[i/64]&(1<<(i%64)) != 0 {
			return damagedf("page %d is used twice", i)
		}
		c.seen[i/64] |= 1 << (i % 64)
	}
	return nil
}

// read reads a page into the buffer of that depth.
func (c *checker) read(id uint64, depth int) (page, error) {
	if id < 2 || id >= c.meta.pages {
		return page{}, damagedf("it refers to page %d, and its pages are 2 to %d", id, c.meta.pages-1)
	}
	for len(c.buffers) <= depth {
		c.buffers = append(c.buffers, make([]byte, c.meta.pageSize))
	}
	at := int64(id * c.meta.pageSize)
	b := c.buffers[depth][:c.meta.pageSize]
	if _, err := c.f.ReadAt(b, at); err != nil {
		return page{}, err
	}
	le := binary.LittleEndian
	if got := le.Uint64(b); got != id {
		return page{}, damagedf("page %d says that it is page %d", id, got)
	}
	n := 1 + uint64(le.Uint32(b[12:]))
	if n > c.meta.pages-id {
		return page{}, damagedf("page %d reaches beyond the end", id)
	}
	if err := c.mark(id, n); err != nil {
		return page{}, err
	}
	if n > 1 {
		if uint64(cap(b)) < n*c.meta.pageSize {
			b = make([]byte, n*c.meta.pageSize)
			c.buffers[depth] = b
		}
		b = b[:n*c.meta.pageSize]
		if _, err := c.f.ReadAt(b, at); err != nil {
			return page{}, err
		}
	}
	return page{pageName{id: id}, le.Uint16(b[8:]), int(le.Uint16(b[10:])), b}, nil
}

// bucket walks over the tree of a bucket.
func (c *checker) bucket(root uint64, depth int) error {
	_, err := c.tree(root, depth, nil, nil)
	return err
}

// tree walks over the pages below one. Its keys must be from low on and below high; nil is no
// bound. It returns the last of them.
func (c *checker) tree(id uint64, depth int, low, high []byte) (last []byte, err error) {
	p, err := c.read(id, depth)
	if err != nil {
		return nil, err
	}
	if p.flags != branchPage {
		return c.leaf(p, depth, low, high)
	}
	if p.count == 0 {
		return nil, damagedf("%s leads nowhere", p.name)
	}
	le := binary.LittleEndian
	for i := range p.count {
		key, _, err := p.element(i, 0, 4, -1)
		if err != nil {
			return nil, err
		}
		if i == 0 && low != nil && bytes.Compare(low, key) > 0 || i > 0 && bytes.Compare(low, key) >= 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return nil, damagedf("the keys of %s are not in order", p.name)
		}
		next := high
		if i+1 < p.count {
			if next, _, err = p.element(i+1, 0, 4, -1); err != nil {
				return nil, err
			}
		}
		child := le.Uint64(p.data[pageHeader+i*elementSize+8:])
		if low, err = c.tree(child, depth+1, key, next); err != nil {
			return nil, err
		}
	}
	return low, nil
}

// leaf walks over the keys and values of one page.
func (c *checker) leaf(p page, depth int, low, high []byte) (last []byte, err error) {
	if p.flags != leafPage {
		return nil, damagedf("%s is of no kind that belongs there (%#x)", p.name, p.flags)
	}
	le := binary.LittleEndian
	for i := range p.count {
		key, value, err := p.element(i, 4, 8, 12)
		if err != nil {
			return nil, err
		}
		if i == 0 && low != nil && bytes.Compare(low, key) > 0 || i > 0 && bytes.Compare(low, key) >= 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return nil, damagedf("the keys of %s are not in order", p.name)
		}
		low = key
		flags := le.Uint32(p.data[pageHeader+i*elementSize:])
		if flags&^bucketElement != 0 {
			return nil, damagedf("entry %d of %s is of no kind that exists (%#x)", i, p.name, flags)
		}
		if flags == 0 && len(c.except) > 0 && bytes.Equal(key, c.except) {
			c.excepted = bytes.Clone(value)
			continue
		}
		c.add(flags, key)
		if flags == 0 {
			c.add(flags, value)
			continue
		}
		if err := c.nested(p, i, value, depth); err != nil {
			return nil, err
		}
	}
	return bytes.Clone(low), nil
}

// nested walks over a bucket in a bucket.
func (c *checker) nested(p page, i int, value []byte, depth int) error {
	if len(value) < bucketSize {
		return damagedf("entry %d of %s is no whole bucket", i, p.name)
	}
	le := binary.LittleEndian
	root := le.Uint64(value)
	c.add(bucketElement, value[8:bucketSize])
	if root != 0 {
		return c.bucket(root, depth+1)
	}
	inside := value[bucketSize:]
	if len(inside) < pageHeader {
		return damagedf("entry %d of %s is no whole bucket", i, p.name)
	}
	in := page{p.name.inside(i), le.Uint16(inside[8:]), int(le.Uint16(inside[10:])), inside}
	_, err := c.leaf(in, depth, nil, nil)
	return err
}

// add writes to the sum, with the lengths, so that no two contents give the same bytes.
func (c *checker) add(kind uint32, b []byte) {
	if c.content == nil {
		return
	}
	var head [8]byte
	binary.LittleEndian.PutUint32(head[:], kind)
	binary.LittleEndian.PutUint32(head[4:], uint32(len(b)))
	c.content.Write(head[:])
	c.content.Write(b)
}

// element returns the key and the value of an entry, whose position and lengths stand at these
// places of it; -1: it has no value.
func (p page) element(i, pos, keyLen, valueLen int) (key, value []byte, err error) {
	le := binary.LittleEndian
	begin := uint64(pageHeader + i*elementSize)
	size := uint64(len(p.data))
	if begin+elementSize > size {
		return nil, nil, damagedf("%s has more entries than room", p.name)
	}
	e := p.data[begin:]
	at := begin + uint64(le.Uint32(e[pos:]))
	k, v := uint64(le.Uint32(e[keyLen:])), uint64(0)
	if valueLen >= 0 {
		v = uint64(le.Uint32(e[valueLen:]))
	}
	if entries := uint64(pageHeader + p.count*elementSize); k == 0 || at < entries || at > size || k > size-at || v > size-at-k {
		return nil, nil, damagedf("entry %d of %s lies outside of it", i, p.name)
	}
	return p.data[at : at+k], p.data[at+k : at+k+v], nil
}

// freelist checks that the pages which bbolt may write to next are none that are in use.
func (c *checker) freelist() error {
	p, err := c.read(c.meta.freelist, 0)
	if err != nil {
		return err
	}
	if p.flags != freelistPage {
		return damagedf("%s should hold the list of free pages, and is of another kind (%#x)", p.name, p.flags)
	}
	le := binary.LittleEndian
	list, n := p.data[pageHeader:], uint64(p.count)
	if p.count == longFreelist && len(list) >= 8 {
		n, list = le.Uint64(list), list[8:]
	}
	if n > uint64(len(list)/8) {
		return damagedf("the list of free pages has %d entries and no room for them", n)
	}
	for i := range n {
		id := le.Uint64(list[8*i:])
		if id < 2 || id >= c.meta.pages {
			return damagedf("the list of free pages names page %d, and the pages are 2 to %d", id, c.meta.pages-1)
		}
		if err := c.mark(id, 1); err != nil {
			return err
		}
	}
	return nil
}
