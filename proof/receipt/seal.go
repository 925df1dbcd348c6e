package receipt

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"github.com/btcsuite/btcd/address/v2/base58"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"

	//lint:ignore SA1019 Bitcoin's addresses are made with this hash, whatever its age.
	"golang.org/x/crypto/ripemd160"
)

// Seal is Woleet's extension of version 2, the member "signature": a Bitcoin key signed the hash of
// a file, and the hash of the signature is anchored. The receipt then proves that the signature
// existed, and the file before it.
//
// Neither the receipt nor the seal proves who has the key. The signer's software put SignedIdentity
// and SignedIssuerDomain under the signature beside the hash, and nobody checked them. They are
// joined without a separator, so the signature does not even show where one ends and the other
// begins. IdentityURL is not signed, and no program here asks it.
type Seal struct {
	SignedHash         [32]byte // the file's SHA-256
	PubKey             string   // a Bitcoin address, despite its name
	Signature          string   // of a Bitcoin message, 65 bytes in base64
	IdentityURL        string   // where the signer's server is said to tell who has the key; empty: nowhere
	SignedIdentity     string   // a distinguished name (RFC 4514); empty: none
	SignedIssuerDomain string   // who is said to vouch for the identity; empty: nobody
}

type jsonSeal struct {
	SignedHash         string `json:"signedHash"`
	SignedIdentity     string `json:"signedIdentity,omitempty"`
	SignedIssuerDomain string `json:"signedIssuerDomain,omitempty"`
	PubKey             string `json:"pubKey"`
	Signature          string `json:"signature"`
	IdentityURL        string `json:"identityURL,omitempty"`
}

func (s *Seal) json() *jsonSeal {
	if s == nil {
		return nil
	}
	return &jsonSeal{hex.EncodeToString(s.SignedHash[:]), s.SignedIdentity, s.SignedIssuerDomain, s.PubKey, s.Signature, s.IdentityURL}
}

func parseSeal(v value) (*Seal, error) {
	if err := v.object([]string{"signedHash", "pubKey", "signature"}, []string{"identityURL", "signedIdentity", "signedIssuerDomain"}); err != nil {
		return nil, err
	}
	s := &Seal{}
	var err error
	if s.SignedHash, err = v.member("signedHash").hash(); err != nil {
		return nil, err
	}
	for _, text := range []struct {
		name string
		low  int
		dst  *string
	}{
		{"pubKey", 1, &s.PubKey}, {"signature", 1, &s.Signature}, {"identityURL", 0, &s.IdentityURL},
		{"signedIdentity", 0, &s.SignedIdentity}, {"signedIssuerDomain", 0, &s.SignedIssuerDomain},
	} {
		if !v.has(text.name) {
			continue
		}
		if *text.dst, err = v.member(text.name).text(text.low, maxText); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// check verifies the signature, and that the receipt anchors this signature. Without the second
// check, a seal could be put on any other receipt.
func (s *Seal) check(target [32]byte) error {
	// Of the signature's text, not of its bytes.
	if sum := sha256.Sum256([]byte(s.Signature)); sum != target {
		return fmt.Errorf("the signature's hash is %x, but what the receipt anchors (targetHash) is %x: the signature is not the one that was anchored", sum, target)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(s.Signature)
	if err != nil || base64.StdEncoding.EncodeToString(raw) != s.Signature {
		return fmt.Errorf("the signature %q is not base64", clip(s.Signature))
	}
	const size, first, last = 65, 27, 34 // what stands before r and s tells which of the keys that fit is meant, and how it is written
	if len(raw) != size {
		return fmt.Errorf("the signature has %d bytes, one of a Bitcoin message has %d", len(raw), size)
	}
	if raw[0] < first || raw[0] > last {
		return fmt.Errorf("the signature begins with byte %d: %d to %d are those of addresses that begin with 1, others are not verified here", raw[0], first, last)
	}
	key, compressed, err := ecdsa.RecoverCompact(raw, s.messageHash())
	if err != nil {
		return fmt.Errorf("no key made this signature: %w", err)
	}
	serialized := key.SerializeUncompressed()
	if compressed {
		serialized = key.SerializeCompressed()
	}
	if signer := address(serialized); signer != s.PubKey {
		return fmt.Errorf("the signature over %x is not that of the address %q (pubKey): it was made by %s, or over something else", s.SignedHash, clip(s.PubKey), signer)
	}
	return nil
}

// unchecked returns a warning about the parts of a valid seal that were not checked.
func (s *Seal) unchecked() string {
	const what = "who holds the key of Bitcoin address %s, and whether it was revoked or had expired: "
	if s.IdentityURL == "" {
		return fmt.Sprintf(what+"the seal names no server that could tell", s.PubKey)
	}
	return fmt.Sprintf(what+"the seal names %q for that, which is not asked", s.PubKey, clip(s.IdentityURL))
}

// messageHash returns the hash that the key signs, made as Bitcoin's wallets sign messages. The
// message is the hash of the file in hexadecimal digits. If an identity or an issuer's domain is
// given, it is the hash of all three texts joined, again in hexadecimal digits.
func (s *Seal) messageHash() []byte {
	text := hex.EncodeToString(s.SignedHash[:])
	if s.SignedIdentity != "" || s.SignedIssuerDomain != "" {
		sum := sha256.Sum256([]byte(text + s.SignedIdentity + s.SignedIssuerDomain))
		text = hex.EncodeToString(sum[:])
	}
	// Each of the two texts after its length: 24 and 64 bytes.
	sum := sha256.Sum256([]byte("\x18Bitcoin Signed Message:\n" + "\x40" + text))
	sum = sha256.Sum256(sum[:])
	return sum[:]
}

// address returns the P2PKH address of a public key on Bitcoin's main network.
func address(key []byte) string {
	sum := sha256.Sum256(key)
	h := ripemd160.New()
	h.Write(sum[:])
	const mainNet = 0x00
	return base58.CheckEncode(h.Sum(nil), mainNet)
}
