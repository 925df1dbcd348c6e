package receipt

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"ancre/proof"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
)

// The seal of an empty file in a receipt that Woleet published among the tests of its weblibs
// (test/tests.js, emptyFileValidSignatureReceipt).
func published(t *testing.T) (seal *Seal, target [32]byte) {
	t.Helper()
	b, err := hex.DecodeString("626484929addc065a418b5a036642f30f6995945c3c75c7003c1ce2779d96a6b")
	if err != nil {
		t.Fatal(err)
	}
	return &Seal{
		SignedHash: sha256.Sum256(nil),
		PubKey:     "19itkAbBMnjpC8xL4nHWWebgANEGUS2coQ",
		Signature:  "HxVxyhfiJ1EyEDlhXidshWs3QQxb3JUcAvKpt1NLMonLXWWKXL39OLH3XXGofTho5JKjrZUY32sRoX6g2mh/Os0=",
	}, [32]byte(b)
}

func TestAPublishedSealIsRight(t *testing.T) {
	seal, target := published(t)
	if err := seal.check(target); err != nil {
		t.Error(err)
	}
}

// signer has a key and signs what it is told to.
type signer struct {
	key          *btcec.PrivateKey
	uncompressed bool
}

func newSigner(seed string) signer {
	sum := sha256.Sum256([]byte(seed))
	key, _ := btcec.PrivKeyFromBytes(sum[:])
	return signer{key: key}
}

func (s signer) address() string {
	if s.uncompressed {
		return address(s.key.PubKey().SerializeUncompressed())
	}
	return address(s.key.PubKey().SerializeCompressed())
}

// seal signs a digest, with an identity if there is one.
func (s signer) seal(digest [32]byte, identity, domain string) *Seal {
	seal := &Seal{SignedHash: digest, PubKey: s.address(), SignedIdentity: identity, SignedIssuerDomain: domain}
	seal.Signature = base64.StdEncoding.EncodeToString(ecdsa.SignCompact(s.key, seal.messageHash(), !s.uncompressed))
	return seal
}

// sealed is a receipt of a seal's signature.
func sealed(t testing.TB, seal *Seal) (*V2, sample) {
	t.Helper()
	s := usual()
	s.digest = sha256.Sum256([]byte(seal.Signature))
	nodes := numbered(4)
	nodes[2] = proof.Leaf(s.digest[:], s.nonce)
	s.Path, s.RootPath = proof.Path(nodes, 2), nil
	root := proof.Root(nodes)
	s.mine(transaction(1, opReturn(root[:]), change), 5, 9)
	r := s.v2(t)
	r.Seal = seal
	return r, s
}

func TestSealsProveWhatWasSigned(t *testing.T) {
	digest := sha256.Sum256([]byte("the file\n"))
	old := newSigner("clerk")
	old.uncompressed = true
	withURL := newSigner("clerk").seal(digest, "", "")
	withURL.IdentityURL = "https://town.example/identity"
	for name, seal := range map[string]*Seal{
		"a compressed key":          newSigner("clerk").seal(digest, "", ""),
		"an uncompressed key":       old.seal(digest, "", ""),
		"an identity":               newSigner("clerk").seal(digest, "CN=Clerk,O=Town", ""),
		"an identity and an issuer": newSigner("clerk").seal(digest, "CN=Clerk,O=Town", "town.example"),
		"an issuer only":            newSigner("clerk").seal(digest, "", "town.example"),
		"an identity beyond ASCII":  newSigner("clerk").seal(digest, "CN=Zoé Ângelo", "town.example"),
		"a URL, which nobody asks":  withURL,
	} {
		t.Run(name, func(t *testing.T) {
			r, s := sealed(t, seal)
			got := judge(t, write(t, r), digest, s.chain())
			if got.Outcome != proof.OutcomeValid || got.Seal == nil || *got.Seal != *seal {
				t.Fatalf("got %+v", got)
			}
			// The hash of the signature is what is anchored, and not what the receipt is about.
			if got := judge(t, write(t, r), s.digest, s.chain()); got.Outcome != proof.OutcomeInvalid || !strings.Contains(got.Reason, "about another file") {
				t.Errorf("of the signature: %+v", got)
			}
		})
	}
}

// Each is accepted by a verifier that leaves out one of the checks. Woleet's library leaves out the
// first.
func TestForgedSealsAreRefusedWithTheReason(t *testing.T) {
	digest := sha256.Sum256([]byte("the file\n"))
	clerk, other := newSigner("clerk"), newSigner("other")
	segwit := func(first byte) func(*Seal) {
		return func(s *Seal) {
			b, err := base64.StdEncoding.DecodeString(s.Signature)
			if err != nil {
				t.Fatal(err)
			}
			b[0] = first
			s.Signature = base64.StdEncoding.EncodeToString(b)
		}
	}
	for name, c := range map[string]struct {
		forge func(*Seal) // before its signature is anchored
		late  func(*Seal) // afterwards
		want  string
	}{
		"somebody else's receipt":   {late: func(s *Seal) { *s = *clerk.seal(digest, "CN=Clerk", "") }, want: "the signature is not the one that was anchored"},
		"another signature":         {late: func(s *Seal) { s.Signature = other.seal(digest, "", "").Signature }, want: "the signature is not the one that was anchored"},
		"a blank after it":          {late: func(s *Seal) { s.Signature += " " }, want: "the signature is not the one that was anchored"},
		"another signer":            {forge: func(s *Seal) { s.PubKey = other.address() }, want: "is not that of the address \"" + other.address()},
		"another hash":              {forge: func(s *Seal) { s.Signature = clerk.seal([32]byte{1}, "", "").Signature }, want: "or over something else"},
		"an identity put in":        {forge: func(s *Seal) { s.SignedIdentity = "CN=Mayor" }, want: "or over something else"},
		"an issuer put in":          {forge: func(s *Seal) { s.SignedIssuerDomain = "town.example" }, want: "or over something else"},
		"an identity left out":      {forge: func(s *Seal) { s.Signature = clerk.seal(digest, "CN=Clerk", "").Signature }, want: "or over something else"},
		"an identity changed":       {forge: func(s *Seal) { *s = *clerk.seal(digest, "CN=Clerk", ""); s.SignedIdentity = "CN=Mayor" }, want: "or over something else"},
		"the other form of the key": {forge: func(s *Seal) { s.PubKey = signer{clerk.key, true}.address() }, want: "it was made by " + clerk.address()},
		"an address with a blank":   {forge: func(s *Seal) { s.PubKey = " " + s.PubKey }, want: "is not that of the address"},
		"a signature that is short": {forge: func(s *Seal) { s.Signature = s.Signature[:84] }, want: "63 bytes, one of a Bitcoin message has 65"},
		"a signature that is none":  {forge: func(s *Seal) { s.Signature = "hello" }, want: `"hello" is not base64`},
		"a line end in the base64":  {forge: func(s *Seal) { s.Signature = s.Signature[:40] + "\n" + s.Signature[40:] }, want: "is not base64"},
		"bits after the last byte":  {forge: func(s *Seal) { s.Signature = s.Signature[:86] + "9=" }, want: "is not base64"},
		"a signature of zeros": {forge: func(s *Seal) {
			s.Signature = base64.StdEncoding.EncodeToString(append([]byte{31}, make([]byte, 64)...))
		}, want: "no key made this signature"},
		"an address of script hash":   {forge: segwit(35), want: "the signature begins with byte 35"},
		"an address of native segwit": {forge: segwit(42), want: "the signature begins with byte 42"},
		"a first byte too low":        {forge: segwit(26), want: "the signature begins with byte 26"},
	} {
		t.Run(name, func(t *testing.T) {
			seal := clerk.seal(digest, "", "")
			if c.forge != nil {
				c.forge(seal)
			}
			r, s := sealed(t, seal)
			if c.late != nil {
				c.late(seal)
			}
			got := judge(t, write(t, r), digest, s.chain())
			if got.Outcome != proof.OutcomeInvalid || !strings.Contains(got.Reason, "the seal is not right: ") || !strings.Contains(got.Reason, c.want) {
				t.Errorf("got %+v, want %q", got, c.want)
			}
		})
	}
}

// Everything else about a sealed receipt is checked as well.
func TestASealDoesNotMakeAFalseReceiptGood(t *testing.T) {
	digest := sha256.Sum256([]byte("the file\n"))
	r, s := sealed(t, newSigner("clerk").seal(digest, "", ""))
	r.Proof[1].Hash[0] ^= 1
	if got := judge(t, write(t, r), digest, s.chain()); got.Outcome != proof.OutcomeInvalid || got.Seal != nil || !strings.Contains(got.Reason, "the path leads from") {
		t.Errorf("got %+v", got)
	}
}

func TestASealedReceiptIsTheSameBytesForGood(t *testing.T) {
	seal := newSigner("clerk").seal(sha256.Sum256([]byte("the file\n")), "CN=Clerk,O=Town", "town.example")
	seal.IdentityURL = "https://town.example/identity"
	r, _ := sealed(t, seal)
	golden(t, "v2-sealed.json", write(t, r))
}

// Addresses of the key 1, which every wallet knows.
func TestAddressesAreThoseOfWallets(t *testing.T) {
	one, _ := btcec.PrivKeyFromBytes([]byte{1})
	if got := address(one.PubKey().SerializeCompressed()); got != "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH" {
		t.Errorf("compressed: %s", got)
	}
	if got := address(one.PubKey().SerializeUncompressed()); got != "1EHNa6Q4Jz2uvNExL497mE43ikXhwF6kZm" {
		t.Errorf("uncompressed: %s", got)
	}
}
