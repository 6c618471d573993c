"""OpenTelemetry: traces, metrics and logs sent by OTLP over HTTP. Imported only where it is configured."""
