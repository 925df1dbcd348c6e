package rpc

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"ancre/internal/atomicfile"
)

// Role says what a user may do.
type Role string

const (
	RoleSubmit Role = "submit" // hand digests in, and ask for their states and proofs
	RoleRead   Role = "read"   // ask for everything, change nothing
	RoleAdmin  Role = "admin"  // everything: the wallet, and stopping the daemon, too
)

// CookieUser is the user name in a cookie file, as bitcoind has it. Its role is admin.
const CookieUser = "__cookie__"

// User is one that may call, and the salted hash of the password: HMAC-SHA256 of the password under
// the salt, as in bitcoind's rpcauth. The password itself should be a long random one (NewUser
// makes it so), since the hash is quick to compute.
type User struct {
	Name string
	Role Role
	salt string // its characters are the key, as in rpcauth, even where they are hexadecimal
	hash [sha256.Size]byte
}

// maxUserName bounds the names in auth lines.
const maxUserName = 64

// ParseUser reads a line "name:role:salt$hash" of the configuration.
func ParseUser(line string) (User, error) {
	const want = "want name:role:salt$hash, as `ancre auth NAME ROLE` prints it"
	name, rest, ok := strings.Cut(line, ":")
	if !ok {
		return User{}, fmt.Errorf("auth line %q: no colon after the name; %s", clip(line, 40), want)
	}
	if name == "" || len(name) > maxUserName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
		return User{}, fmt.Errorf("auth line of %q: the name may hold letters, digits and -_. and have up to %d of them", clip(name, maxUserName), maxUserName)
	}
	if name == CookieUser {
		return User{}, fmt.Errorf("auth line of %q: the name is kept for the cookie file; take another", name)
	}
	role, secret, ok := strings.Cut(rest, ":")
	if !ok {
		return User{}, fmt.Errorf("auth line of %q: no colon after the role; %s", name, want)
	}
	switch Role(role) {
	case RoleSubmit, RoleRead, RoleAdmin:
	default:
		return User{}, fmt.Errorf("auth line of %q: the role is %q; allowed are %s, %s and %s", name, clip(role, 40), RoleSubmit, RoleRead, RoleAdmin)
	}
	salt, hash, ok := strings.Cut(secret, "$")
	if !ok || salt == "" {
		return User{}, fmt.Errorf("auth line of %q: no salt and $ before the hash; %s", name, want)
	}
	u := User{Name: name, Role: Role(role), salt: salt}
	if n, err := hex.Decode(u.hash[:], []byte(clip(hash, 2*sha256.Size))); err != nil || n != sha256.Size || len(hash) != 2*sha256.Size {
		return User{}, fmt.Errorf("auth line of %q: the hash has %d characters; want %d hexadecimal digits", name, len(hash), 2*sha256.Size)
	}
	return u, nil
}

// NewUser makes a user with a random password: the line is for the configuration, the password for
// the user alone.
func NewUser(name string, role Role) (line, password string, err error) {
	var b [16 + 32]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	salt := hex.EncodeToString(b[:16])
	password = base64.RawURLEncoding.EncodeToString(b[16:])
	hash := saltedHash(salt, password)
	line = fmt.Sprintf("%s:%s:%s$%x", name, role, salt, hash)
	if _, err := ParseUser(line); err != nil {
		return "", "", err
	}
	return line, password, nil
}

func saltedHash(salt, password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, []byte(salt))
	h.Write([]byte(password))
	h.Sum(sum[:0])
	return sum
}

// users are all that may call. It never changes.
type users []User

// nobody is compared with when the name is unknown, so that a wrong name takes the same work as a
// wrong password.
var nobody = User{Name: "", salt: "00000000000000000000000000000000"}

// check returns who calls. Every name is compared and exactly one hash is computed, whatever was
// wrong.
func (us users) check(name, password string) (User, bool) {
	found, index := 0, 0
	for i := range us {
		same := subtle.ConstantTimeCompare([]byte(us[i].Name), []byte(name))
		index = subtle.ConstantTimeSelect(same, i, index)
		found |= same
	}
	u := &nobody
	if found == 1 {
		u = &us[index]
	}
	hash := saltedHash(u.salt, password)
	ok := found & subtle.ConstantTimeCompare(hash[:], u.hash[:])
	return *u, ok == 1
}

// Limits of what is remembered of credentials that were right.
const (
	maxFamiliar = 64  // more are checked anew each time; a user has few spellings of his
	maxHeader   = 256 // bytes; ours have up to 160
)

// familiar remembers credentials that were right, as the header has them: a busy client makes ten
// thousand calls a second with the same. What it keeps is a hash under a key that this process made
// and nobody sees, so that how long a look-up takes tells nothing about a secret.
type familiar struct {
	key   [sha256.Size]byte
	mu    sync.Mutex // held by who adds
	users atomic.Pointer[map[[sha256.Size]byte]*User]
}

func newFamiliar() *familiar {
	f := new(familiar)
	rand.Read(f.key[:])
	f.users.Store(&map[[sha256.Size]byte]*User{})
	return f
}

// hash is no HMAC, since nobody sees what could be extended.
func (f *familiar) hash(header string) [sha256.Size]byte {
	var b [sha256.Size + maxHeader]byte
	n := copy(b[:], f.key[:])
	return sha256.Sum256(b[:n+copy(b[n:], header)])
}

// user returns who comes with a header, or nil for one that was not added.
func (f *familiar) user(header string) *User {
	if len(header) > maxHeader {
		return nil
	}
	return (*f.users.Load())[f.hash(header)]
}

// add remembers that a header was right.
func (f *familiar) add(header string, u *User) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if old := *f.users.Load(); len(header) <= maxHeader && len(old) < maxFamiliar {
		all := maps.Clone(old)
		all[f.hash(header)] = u
		f.users.Store(&all)
	}
}

// WriteCookie makes new credentials for this run and writes them to path, for the owner's eyes
// only. The file is replaced in one step, so that a client reads the old one or the new one. Remove
// it with RemoveCookie.
func WriteCookie(path string) (User, error) {
	var b [32]byte
	rand.Read(b[:])
	password := hex.EncodeToString(b[:])

	if err := atomicfile.Put(path, []byte(CookieUser+":"+password), 0o600); err != nil {
		return User{}, fmt.Errorf("write the cookie file: %w; whatever is at %s may be removed", err, path)
	}
	// Any salt will do: the password has 256 random bits, and the hash stays in memory.
	return User{Name: CookieUser, Role: RoleAdmin, salt: nobody.salt, hash: saltedHash(nobody.salt, password)}, nil
}

// RemoveCookie removes the file that WriteCookie wrote for this user, and leaves one alone that a
// later start has put there.
func RemoveCookie(path string, cookie User) error {
	name, password, err := ReadCookie(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if _, ok := (users{cookie}).check(name, password); !ok {
		return nil
	}
	return os.Remove(path)
}

// ReadCookie returns the credentials that a cookie file holds, ancred's or bitcoind's.
func ReadCookie(path string) (user, password string, err error) {
	const enough = 64 << 10 // of a file that holds a name and a password
	b, err := atomicfile.ReadInput(path, enough)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("there is no cookie file, so the daemon does not seem to run: %w; start `ancred`, or name "+
			"its data directory or network with --datadir or --network", err)
	}
	if err != nil {
		return "", "", fmt.Errorf("the cookie file cannot be read; run this as the daemon's user: %w", err)
	}
	user, password, ok := strings.Cut(strings.TrimSpace(string(b)), ":")
	if !ok || user == "" || password == "" {
		return "", "", fmt.Errorf("the cookie file %s does not hold user:password", path)
	}
	return user, password, nil
}
