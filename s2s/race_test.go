//go:build race

package s2s

const raceEnabled = true
