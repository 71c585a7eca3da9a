//go:build race

package c2s

const raceEnabled = true
