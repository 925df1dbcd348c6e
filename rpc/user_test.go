package rpc

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

func TestAUserLineIsReadAsRPCAuthIs(t *testing.T) {
	// The line that bitcoin's share/rpcauth/rpcauth.py prints for the user alice, with a role
	// added.
	mac := hmac.New(sha256.New, []byte("99806ea5d32ab13d4a0d0af9dc2b2b3a"))
	mac.Write([]byte("secret"))
	hash := hex.EncodeToString(mac.Sum(nil))
	u, err := ParseUser("alice:read:99806ea5d32ab13d4a0d0af9dc2b2b3a$" + hash)
	if err != nil || u.Name != "alice" || !slices.Equal(u.Roles, Roles{RoleRead}) {
		t.Fatalf("%+v, %v", u, err)
	}
	if !u.HasPassword("secret") || u.HasPassword("Secret") || new(User).HasPassword("") {
		t.Error("the right password is refused")
	}
}

func TestAWrongUserLineIsRefusedWithWhatIsAllowed(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for _, c := range []struct{ name, line, words string }{
		{"nothing", "", "no colon after the name|name:roles:salt$hash"},
		{"no role", "alice", "alice|no colon after the name|name:roles:salt$hash"},
		{"bitcoind's own form, without a role", "alice:99$" + hash, "alice|no colon after the role|name:roles:salt$hash"},
		{"no name", ":read:99$" + hash, "letters, digits"},
		{"a name with a space", "al ice:read:99$" + hash, "al ice|letters, digits"},
		{"a name too long", strings.Repeat("a", 65) + ":read:99$" + hash, "up to 64"},
		{"the cookie's name", "__cookie__:read:99$" + hash, "__cookie__|another"},
		{"an unknown role", "alice:root:99$" + hash, `alice|"root"|submit, verify, read, admin`},
		{"a role in upper case", "alice:Admin:99$" + hash, `"Admin"|submit, verify, read, admin`},
		{"two roles with a space", "alice:submit, read:99$" + hash, `" read"|submit, verify, read, admin`},
		{"a role twice", "alice:read,submit,read:99$" + hash, "alice|read comes twice"},
		{"an empty role", "alice:read,:99$" + hash, `""|submit, verify, read, admin`},
		{"no salt", "alice:read:$" + hash, "no salt"},
		{"a password instead of a hash", "alice:read:secret", "no salt"},
		{"a hash too short", "alice:read:99$" + hash[2:], "62 characters|64 hexadecimal"},
		{"a hash too long", "alice:read:99$" + hash + "ab", "66 characters|64 hexadecimal"},
		{"a hash with an odd character", "alice:read:99$x" + hash[1:], "64 hexadecimal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseUser(c.line)
			if err == nil {
				t.Fatalf("%q was accepted", c.line)
			}
			for _, w := range strings.Split(c.words, "|") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the message lacks %q: %v", w, err)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the message holds a password: %v", err)
			}
		})
	}
	line, _, err := NewUser("alice", RoleSubmit, RoleRead)
	if u, err2 := ParseUser(line); err != nil || err2 != nil || !slices.Equal(u.Roles, Roles{RoleSubmit, RoleRead}) {
		t.Errorf("a user of two roles: %q, %v; read as %v, %v", line, err, u.Roles, err2)
	}
	if _, _, err := NewUser("al ice", RoleRead); err == nil {
		t.Error("NewUser makes a user that ParseUser refuses")
	}
}
