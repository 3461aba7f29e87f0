"""Payment providers behind one Protocol (`server.pay.provider.Provider`); `sandbox_provider` is the other side."""
