package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A module with a test of each fate, one of which kills its program.
const source = `package a

import (
	"os"
	"testing"
)

func TestPasses(t *testing.T) { t.Log("not shown") }

func TestSkips(t *testing.T) {
	t.Log("something before")
	t.Skip("no such tool")
}

func TestSkipsSilently(t *testing.T) { t.SkipNow() }

func TestSkipsInside(t *testing.T) {
	t.Run("sub", func(t *testing.T) { t.Skip("no such tool") })
}

func TestFails(t *testing.T) {
	if os.Getenv("GOTEST_FAILS") != "" {
		t.Run("sub", func(t *testing.T) { t.Error("the error") })
	}
}

func TestKills(t *testing.T) {
	if os.Getenv("GOTEST_KILLS") != "" {
		panic("the panic")
	}
}
`

func inModule(t *testing.T, source string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module a\n", "a_test.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("ANCRE_SKIPPED", "")
}

func TestReportsWhatWasSkippedAndWhy(t *testing.T) {
	inModule(t, source)
	var out strings.Builder
	passed, err := run(&out, []string{"."})
	if !passed || err != nil {
		t.Fatalf("passed %t, %v\n%s", passed, err, &out)
	}
	_, report, _ := strings.Cut(out.String(), "\n")
	want := "Skipped:\n  no such tool\n      a.TestSkips\n      a.TestSkipsInside/sub\n  no reason given\n      a.TestSkipsSilently\n"
	if report != want {
		t.Errorf("reported\n%swant\n%s", report, want)
	}
	if !strings.HasPrefix(out.String(), "ok  \ta\t") || strings.Contains(out.String(), "not shown") {
		t.Errorf("printed something else than go test prints:\n%s", &out)
	}
}

func TestSeveralRunsAreReportedTogether(t *testing.T) {
	inModule(t, source)
	file := filepath.Join(t.TempDir(), "skipped")
	if err := os.WriteFile(file, []byte("no such tool\tthe check of a script\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ANCRE_SKIPPED", file)
	for range 2 {
		var out strings.Builder
		if passed, err := run(&out, []string{"-run", "TestSkips$", "."}); !passed || err != nil || strings.Contains(out.String(), "Skipped") {
			t.Fatalf("passed %t, %v\n%s", passed, err, &out)
		}
	}
	var out strings.Builder
	if err := reportFile(&out, file); err != nil {
		t.Fatal(err)
	}
	if want := "Skipped:\n  no such tool\n      the check of a script\n      a.TestSkips\n"; out.String() != want {
		t.Errorf("reported\n%swant\n%s", &out, want)
	}
}

func TestALongListIsShortened(t *testing.T) {
	var skipped []skip
	for _, what := range []string{"a", "b", "c", "d", "e", "f"} {
		skipped = append(skipped, skip{"reason", what})
	}
	var out strings.Builder
	report(&out, skipped)
	if want := "Skipped:\n  reason\n      a\n      b\n      c\n      d\n      and 2 more\n"; out.String() != want {
		t.Errorf("reported\n%swant\n%s", &out, want)
	}
	out.Reset()
	report(&out, nil)
	if out.String() != "Nothing was skipped.\n" {
		t.Errorf("reported %q of nothing", out.String())
	}
}

func TestFailuresAreShownAsGoTestShowsThem(t *testing.T) {
	for _, c := range []struct {
		name, env, source string
		want              []string
	}{
		{"a test fails", "GOTEST_FAILS", source, []string{"--- FAIL: TestFails ", "--- FAIL: TestFails/sub ", "the error", "FAIL\ta\t"}},
		{"the program ends", "GOTEST_KILLS", source, []string{"panic: the panic", "FAIL\ta\t"}},
		{"it does not compile", "GOTEST_NOTHING", "package a\n\nvar a = b\n", []string{"undefined: b", "FAIL\ta [build failed]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inModule(t, c.source)
			t.Setenv(c.env, "1")
			var out strings.Builder
			passed, err := run(&out, []string{"."})
			if passed || err != nil {
				t.Errorf("passed %t, %v", passed, err)
			}
			for _, want := range c.want {
				if strings.Count(out.String(), want) != 1 {
					t.Errorf("%d times %q, want it once, in\n%s", strings.Count(out.String(), want), want, &out)
				}
			}
			if strings.Contains(out.String(), "=== ") || strings.Contains(out.String(), "Skipped") || strings.Contains(out.String(), "not shown") {
				t.Errorf("printed more than go test prints:\n%s", &out)
			}
		})
	}
}
