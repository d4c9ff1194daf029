package match

import (
	"strings"

	"github.com/esclusa/esclusa/internal/scan/layer"
)

func symbolHash(s string) uint64 { return layer.SymbolHash(s) }

// inImport says whether a symbol ("import/path.Func", "import/path.T.Method")
// is of an import path.
func inImport(symbol, path string) bool {
	rest, ok := strings.CutPrefix(symbol, path)
	return ok && strings.HasPrefix(rest, ".") && !strings.Contains(rest, "/")
}
