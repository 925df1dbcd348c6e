package server

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"ancre/rpc"
)

const (
	// failureDelay is how long the answer to a refused login is held back (bitcoind: 250 ms).
	failureDelay = 250 * time.Millisecond

	// maxDelayed is how many refused logins may wait at once. The others are answered at once: if
	// they waited, they would hold connections that other clients need. Guessing a random password
	// stays hopeless either way.
	maxDelayed = 64
)

// authenticate returns the user whose credentials a request has. If there is none, it answers the
// request and returns false.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (*rpc.User, bool) {
	header := r.Header.Get("Authorization")
	if user := s.authCache.user(header); user != nil {
		return user, true
	}
	// Missing and malformed credentials take the same path as wrong ones.
	name, password, _ := r.BasicAuth()
	if user, ok := s.users.check(name, password); ok {
		s.authCache.add(header, &user)
		return &user, true
	}
	s.refusedLogins.Add(1)
	s.refusals.Do(func() { s.log.Warn("refused wrong credentials", "remote", r.RemoteAddr) })
	select {
	case s.delayed <- struct{}{}:
		timer := time.NewTimer(failureDelay)
		select {
		case <-timer.C:
		case <-r.Context().Done():
			timer.Stop()
		}
		<-s.delayed
	default:
	}
	// There is no challenge (WWW-Authenticate): a browser would ask for the password, keep it, and
	// send it with requests of other pages.
	w.Header().Set("Connection", "close") // the body was not read, and a guesser has to connect again
	s.write(w, http.StatusUnauthorized, appendError(nil, &request{id: null}, errorf(rpc.CodeForbidden,
		"wrong or missing credentials: use those in the .cookie file of the data directory, or of a user in [rpc] auth")))
	return nil, false
}

// users are all users who may call. The list never changes.
type users []rpc.User

// dummyUser is checked if the name is unknown, so that a wrong name takes the same work as a wrong
// password.
var dummyUser rpc.User

// check returns the user with a name and a password. Every name is compared and exactly one hash is
// computed, whatever is wrong.
func (us users) check(name, password string) (rpc.User, bool) {
	found, index := 0, 0
	for i := range us {
		same := subtle.ConstantTimeCompare([]byte(us[i].Name), []byte(name))
		index = subtle.ConstantTimeSelect(same, i, index)
		found |= same
	}
	u := &dummyUser
	if found == 1 {
		u = &us[index]
	}
	right := u.HasPassword(password)
	return *u, right && found == 1
}

// Limits of the authCache.
const (
	maxCached = 64  // headers; the others are checked each time. A user has few spellings of the same
	maxHeader = 256 // bytes of a header; ours have up to 160
)

// authCache remembers Authorization headers that were right: a busy client sends the same one ten
// thousand times a second. It keeps a hash of each, under a key that only this process knows, so
// the time of a look-up tells nothing about a secret.
type authCache struct {
	key   [sha256.Size]byte
	mu    sync.Mutex // held while adding
	users atomic.Pointer[map[[sha256.Size]byte]*rpc.User]
}

func newAuthCache() *authCache {
	c := new(authCache)
	rand.Read(c.key[:])
	c.users.Store(&map[[sha256.Size]byte]*rpc.User{})
	return c
}

// hash need not be an HMAC: nobody sees a hash that could be extended.
func (c *authCache) hash(header string) [sha256.Size]byte {
	var b [sha256.Size + maxHeader]byte
	n := copy(b[:], c.key[:])
	return sha256.Sum256(b[:n+copy(b[n:], header)])
}

// user returns the user of a header that was added, or nil.
func (c *authCache) user(header string) *rpc.User {
	if len(header) > maxHeader {
		return nil
	}
	return (*c.users.Load())[c.hash(header)]
}

// add remembers that a header was right.
func (c *authCache) add(header string, u *rpc.User) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := *c.users.Load(); len(header) <= maxHeader && len(old) < maxCached {
		all := maps.Clone(old)
		all[c.hash(header)] = u
		c.users.Store(&all)
	}
}
