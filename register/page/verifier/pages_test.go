package verifier_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"ancre/register/page/verifier"
)

// verifier.html has one script and one style, and its policy allows these two and nothing else.
func TestTheSavedVerifierAllowsOnlyItself(t *testing.T) {
	html := verifier.Offline()
	policy := string(regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindSubmatch(html)[1])
	policy = strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(policy)
	for _, tag := range []string{"script", "style"} {
		found := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllSubmatch(html, -1)
		if len(found) != 1 {
			t.Fatalf("%d elements %s, want one", len(found), tag)
		}
		sum := sha256.Sum256(found[0][1])
		if want := tag + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
			t.Errorf("the policy %q does not have %q", policy, want)
		}
	}
	for _, never := range []string{"unsafe", "http:", "https:", "connect-src"} {
		if strings.Contains(policy, never) {
			t.Errorf("the policy %q has %q", policy, never)
		}
	}
	if bytes.Contains(html, []byte(`src="`)) || bytes.Contains(html, []byte(`<link`)) {
		t.Error("the page loads something")
	}
	if extra := len(html) - len(verifier.Script(verifier.Tool)); extra > 6<<10 {
		t.Errorf("the page is %d bytes larger than its script", extra)
	}
}

func TestTheSnippetLoadsThisScriptOnly(t *testing.T) {
	base, _ := url.Parse("https://preuves.example.fr")
	s := verifier.Snippet(base, "fr", "mainnet")
	for _, want := range []string{
		`src="https://preuves.example.fr/ancre-verify.js"`, `integrity="` + verifier.Integrity(verifier.Script(verifier.Tool)) + `"`,
		`crossorigin="anonymous"`, `base="https://preuves.example.fr/"`, `lang="fr"`, `network="mainnet"`,
	} {
		if !strings.Contains(s, want) {
			t.Errorf("the snippet %q does not have %q", s, want)
		}
	}
	if f := verifier.FrameSnippet(base, "fr"); !strings.Contains(f, `src="https://preuves.example.fr/embed?lang=fr" title="Vérifier un document"`) {
		t.Errorf("the frame is %q", f)
	}
	frame := string(verifier.Frame{Lang: "en", Base: "./", Network: "regtest"}.HTML())
	for _, want := range []string{`src="./ancre-verify.js" integrity="sha384-`, `base="./" network="regtest"`, `<html lang="en">`} {
		if !strings.Contains(frame, want) {
			t.Errorf("the page for frames does not have %q:\n%s", want, frame)
		}
	}
}
