package config

import "strings"

// nearest returns the word of a list with the smallest edit distance to word, and that distance. Case and the difference
// between - and _ do not count. Of equals the first wins; an empty list gives "".
func nearest(word string, list []string) (best string, distance int) {
	distance = -1
	for _, w := range list {
		if d := editDistance(plain(word), plain(w)); distance < 0 || d < distance {
			best, distance = w, d
		}
	}
	return best, distance
}

// near tells whether a distance is small enough for a likely slip of the pen.
func near(word string, distance int) bool { return distance >= 0 && distance <= max(1, len(word)/3) }

func plain(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }

// maxWord bounds the work on a word of the file.
const maxWord = 128

// editDistance counts insertions, deletions, replacements and swaps of neighbours that make b of a.
func editDistance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return max(len(a), len(b))
	}
	before := make([]int, len(b)+1) // row i-2
	last := make([]int, len(b)+1)   // row i-1
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
