package rpc

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"ancre/internal/humanize"
)

// Role says what a user may do.
type Role string

// The roles.
const (
	RoleSubmit Role = "submit" // submit digests, ask for their states and proofs, and verify
	RoleVerify Role = "verify" // verify proofs, and ask for block headers
	RoleRead   Role = "read"   // ask for everything, change nothing
	RoleAdmin  Role = "admin"  // everything, the wallet and stopping the daemon included
)

// roles are all roles, in the order in which they are documented.
var roles = Roles{RoleSubmit, RoleVerify, RoleRead, RoleAdmin}

// ParseRoles reads one role or several, separated by commas: "submit" or "submit,read".
func ParseRoles(text string) (Roles, error) {
	var set Roles
	for word := range strings.SplitSeq(text, ",") {
		switch role := Role(word); {
		case !slices.Contains(roles, role):
			return nil, fmt.Errorf("the role is %q; allowed are %s, or several of them separated by commas", humanize.ClipTo(word, 40), roles.join(", "))
		case slices.Contains(set, role):
			return nil, fmt.Errorf("the role %s comes twice", role)
		default:
			set = append(set, role)
		}
	}
	return set, nil
}

// User is a user of the RPC: a name, roles, and the salted hash of the password. The hash is
// HMAC-SHA256 of the password with the salt as key, as in bitcoind's rpcauth. It is quick to
// compute, so the password should be long and random, as [NewUser] makes it.
type User struct {
	Name  string
	Roles Roles
	salt  string // the key is its characters, as in rpcauth, even if they look like hexadecimal
	hash  [sha256.Size]byte
}

// maxUserName is the longest name of a user.
const maxUserName = 64

// ParseUser reads a line "name:roles:salt$hash" of the daemon's configuration (rpc.auth).
func ParseUser(line string) (User, error) {
	const want = "want name:roles:salt$hash, as `ancre auth NAME ROLES` prints it"
	name, rest, ok := strings.Cut(line, ":")
	if !ok {
		return User{}, fmt.Errorf("auth line %q: no colon after the name; %s", humanize.ClipTo(line, 40), want)
	}
	if name == "" || len(name) > maxUserName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
		return User{}, fmt.Errorf("auth line of %q: a name may have letters, digits and -_. only, up to %d of them", humanize.ClipTo(name, maxUserName), maxUserName)
	}
	if name == CookieUser || name == GroupUser {
		return User{}, fmt.Errorf("auth line of %q: the name is reserved for a cookie file; use another", name)
	}
	role, secret, ok := strings.Cut(rest, ":")
	if !ok {
		return User{}, fmt.Errorf("auth line of %q: no colon after the role; %s", name, want)
	}
	set, err := ParseRoles(role)
	if err != nil {
		return User{}, fmt.Errorf("auth line of %q: %w", name, err)
	}
	salt, hash, ok := strings.Cut(secret, "$")
	if !ok || salt == "" {
		return User{}, fmt.Errorf("auth line of %q: no salt and $ before the hash; %s", name, want)
	}
	u := User{Name: name, Roles: set, salt: salt}
	digits := len(hash)
	if digits != 2*len(u.hash) {
		return User{}, fmt.Errorf("auth line of %q: the hash has %d characters; want %d hexadecimal digits", name, digits, 2*len(u.hash))
	}
	if _, err := hex.Decode(u.hash[:], []byte(hash)); err != nil {
		return User{}, fmt.Errorf("auth line of %q: the hash is not hexadecimal; want %d hexadecimal digits", name, 2*len(u.hash))
	}
	return u, nil
}

// NewUser makes a user with a random password. The line is for the daemon's configuration, the
// password for the user alone.
func NewUser(name string, roles ...Role) (line, password string, err error) {
	var b [16 + 32]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	salt := hex.EncodeToString(b[:16])
	password = base64.RawURLEncoding.EncodeToString(b[16:])
	line = fmt.Sprintf("%s:%s:%s$%x", name, Roles(roles), salt, saltedHash(salt, password))
	if _, err := ParseUser(line); err != nil {
		return "", "", err
	}
	return line, password, nil
}

// dummySalt takes the place of a salt where any will do.
const dummySalt = "00000000000000000000000000000000"

// HasPassword reports whether a password is the user's. The zero User has none, and refusing it
// takes as long as refusing a wrong password of another user.
func (u *User) HasPassword(password string) bool {
	hash := saltedHash(cmp.Or(u.salt, dummySalt), password)
	return subtle.ConstantTimeCompare(hash[:], u.hash[:]) == 1
}

func saltedHash(salt, password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, []byte(salt))
	h.Write([]byte(password))
	h.Sum(sum[:0])
	return sum
}
