package main

import (
	"fmt"
	"go/ast"
	"go/token"
)

const (
	maxLines   = 80 // of a function, without its tables
	tableLines = 10 // a composite literal with more lines inside is a table
)

// longFunctions finds the functions of more than maxLines. What is inside a table does not count,
// but a function literal in a table is a function of its own.
func longFunctions(path string, set *token.FileSet, file *ast.File) (found []finding) {
	ast.Inspect(file, func(n ast.Node) bool {
		name := "the function literal"
		switch f := n.(type) {
		case *ast.FuncDecl:
			name = f.Name.Name
		case *ast.FuncLit:
		default:
			return true
		}
		if lines := linesOf(set, n); lines > maxLines {
			found = append(found, finding{path, set.Position(n.Pos()).Line,
				fmt.Sprintf("%s has %d lines without its tables, at most %d are allowed", name, lines, maxLines)})
			return false // what is inside is long because of the same lines
		}
		return true
	})
	return found
}

// linesOf counts the lines of a function from func to its closing brace, without those inside of
// tables.
func linesOf(set *token.FileSet, function ast.Node) int {
	line := func(pos token.Pos) int { return set.Position(pos).Line }
	begin := function.Pos()
	if f, ok := function.(*ast.FuncDecl); ok {
		begin = f.Type.Pos() // not its documentation
	}
	lines := line(function.End()) - line(begin) + 1
	ast.Inspect(function, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		inside := line(lit.Rbrace) - line(lit.Lbrace) - 1
		if inside <= tableLines {
			return true
		}
		lines -= inside
		return false
	})
	return lines
}
