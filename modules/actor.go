package modules

import "context"

type actorKey struct{}

// WithActor marks what is done under the context as the doing of a session: whoever is told of a changed password or a
// deleted account then knows which session must still get its answer.
func WithActor(ctx context.Context, s Session) context.Context {
	return context.WithValue(ctx, actorKey{}, s)
}

// ActorOf returns the session that WithActor named, or nil.
func ActorOf(ctx context.Context) Session { s, _ := ctx.Value(actorKey{}).(Session); return s }
