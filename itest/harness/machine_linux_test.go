package harness_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"ancre/itest/harness"
)

// A machine is what the tests of the operator's guide stand on.
func TestAMachineBootsListensTypesAndLeavesNothing(t *testing.T) {
	if err := harness.MissingForMachines(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	base, err := harness.MachineBase(ctx, "../../bin/machine")
	if err != nil {
		t.Fatal(err)
	}
	m, err := harness.BootMachine(ctx, base, t.TempDir(), "ancre-harness", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.PowerOff(); err != nil {
			t.Error(err)
		}
	})

	if out, err := m.Root(ctx, "hostname; touch /only-here"); err != nil || out != "ancre-harness\n" {
		t.Errorf("hostname: %q, %v", out, err)
	}
	if _, err := os.Stat(m.Path("/only-here")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(base + "/only-here"); err == nil {
		t.Error("a machine wrote into the base that all share")
	}

	l, err := m.Listen("127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "from outside") }))
	defer l.Close()
	if out, err := m.Root(ctx, "curl -sS http://127.0.0.1:8080/"); err != nil || out != "from outside" {
		t.Errorf("curl: %q, %v", out, err)
	}

	res, err := m.Type(ctx, "root", `test -t 0 && echo "a terminal"; read -p "Name? " name; read -p "Again? " again; test "$name" = "$again"; exit 3`,
		harness.Typed{Question: "Name? ", Answer: func(string) string { return "Anne" }},
		harness.Typed{Question: "Again? ", Answer: func(printed string) string { return strings.Repeat("Anne", strings.Count(printed, "Name?")) }})
	if err != nil || res.Code != 3 || !strings.Contains(res.Stdout, "a terminal\n") {
		t.Errorf("Type: %+v, %v", res, err)
	}
	if _, err := m.Type(ctx, "root", "true", harness.Typed{Question: "Name? "}); err == nil || !strings.Contains(err.Error(), `did not ask "Name? "`) {
		t.Errorf("a question that never came: %v", err)
	}
}
