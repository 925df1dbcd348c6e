package itest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logCalls are the methods of a logger, and at which argument their keys and values begin.
var logCalls = map[string]int{
	"Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "With": 0,
	"DebugContext": 2, "InfoContext": 2, "WarnContext": 2, "ErrorContext": 2, "Log": 3,
}

// attrs are the functions of slog that make one key with its value.
var attrs = []string{"Any", "Bool", "Duration", "Float64", "Group", "Int", "Int64", "String", "Time", "Uint64"}

var goodKey = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// otherWords are keys that another key stands for everywhere.
var otherWords = map[string]string{
	"error": "err", "e": "err",
	"rate": "sat_per_vb", "feerate": "sat_per_vb", "fee_rate": "sat_per_vb", "sat_per_vbyte": "sat_per_vb", "sats_per_vb": "sat_per_vb",
	"tx": "txid", "hash": "txid or block", "batch_id": "batch", "anchor_id": "anchor",
}

// Whoever searches the log of a year searches for keys: they keep their names, in all rooms.
func TestLogKeys(t *testing.T) {
	found := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && name != ".." && (strings.HasPrefix(name, ".") || slices.Contains([]string{"bin", "testdata", "node_modules"}, name)) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		n, complaints, err := checkLogKeys(path, nil)
		found += n
		for _, c := range complaints {
			t.Error(c)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if least := 50; found < least {
		t.Errorf("%d keys were found in all logging, want at least %d: does this test still see it?", found, least)
	}
}

// checkLogKeys returns how many keys the logging of a file has, and what is wrong with them. src is
// the file's content; nil: it is read.
func checkLogKeys(path string, src any) (found int, complaints []string, err error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, src, parser.SkipObjectResolution)
	if err != nil {
		return 0, nil, err
	}
	complain := func(at ast.Node, format string, args ...any) {
		complaints = append(complaints, files.Position(at.Pos()).String()+": "+fmt.Sprintf(format, args...))
	}
	check := func(key, value ast.Expr) {
		lit, ok := key.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			complain(key, "the key is no string: a key that changes cannot be searched for")
			return
		}
		found++
		name, err := strconv.Unquote(lit.Value)
		switch word := otherWords[name]; {
		case err != nil || !goodKey.MatchString(name):
			complain(key, "the key %s is not lower-case words with _ between them", lit.Value)
		case word != "":
			complain(key, "the key %q is called %s everywhere", name, word)
		case isError(value) && name != "err":
			complain(key, "the key of an error is err, here is %q", name)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := method.X.(*ast.Ident); ok && pkg.Name == "slog" && slices.Contains(attrs, method.Sel.Name) && len(call.Args) > 1 {
			check(call.Args[0], call.Args[1])
			return true
		}
		begin, ok := logCalls[method.Sel.Name]
		if !ok || !isLogger(method.X) || call.Ellipsis.IsValid() {
			return true
		}
		for args := call.Args[min(begin, len(call.Args)):]; len(args) > 0; {
			if _, ok := args[0].(*ast.CallExpr); ok { // slog.Int(…), which is found by itself
				args = args[1:]
				continue
			}
			if len(args) == 1 {
				complain(args[0], "the key has no value")
				break
			}
			check(args[0], args[1])
			args = args[2:]
		}
		return true
	})
	return found, complaints, nil
}

// isLogger reports whether an expression names a logger: log, d.log, cfg.Logger, s.log(), slog.
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return slices.Contains([]string{"log", "logger", "slog", "Log", "Logger"}, x.Name)
	case *ast.SelectorExpr:
		return isLogger(x.Sel)
	case *ast.CallExpr:
		if f, ok := x.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "With" {
			return isLogger(f.X)
		}
		return isLogger(x.Fun)
	}
	return false
}

// isError reports whether a value is an error, as far as its name tells.
func isError(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name == "err" || strings.HasSuffix(x.Name, "Err")
	case *ast.SelectorExpr:
		return isError(x.Sel)
	}
	return false
}

func TestLogKeysKnowsGoodFromBad(t *testing.T) {
	for call, bad := range map[string]string{
		`log.Info("text", "height", 1, "err", err)`:               "",
		`d.log.With("batch", 7).Warn("text", "sat_per_vb", rate)`: "",
		`slog.Error("text", slog.Int("height", 1), "txid", id)`:   "",
		`d.cfg.Logger.Info("text", "error", err)`:                 "called err",
		`d.log.Info("text", "problem", err)`:                      "of an error is err",
		`d.log.Info("text", "fee rate", 1)`:                       "lower-case words",
		`d.log.With("Height", 1).Info("text")`:                    "lower-case words",
		`d.log.WarnContext(ctx, "text", "feerate", 1)`:            "called sat_per_vb",
		`d.log.Log(ctx, level, "text", name, 1)`:                  "no string",
		`d.log.Info("text", slog.Any("an error", err))`:           "lower-case words",
		`d.log.Info("text", "height")`:                            "no value",
		`fmt.Println("text", "an error")`:                         "",
		`d.log.Info("text", args...)`:                             "",
	} {
		_, complaints, err := checkLogKeys("x.go", "package x\nfunc f() { "+call+" }")
		if said := strings.Join(complaints, "\n"); err != nil || (bad == "") != (said == "") || !strings.Contains(said, bad) {
			t.Errorf("%s: %v, complaints %q, want one about %q", call, err, said, bad)
		}
	}
}
