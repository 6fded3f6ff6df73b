# secureTransport as a container: non-root, made for a read-only root file system (`docker run --read-only
# --tmpfs /tmp -v data:/var/lib/secure-transport -v ./config:/etc/secure-transport:ro …`).
FROM node:24-bookworm-slim AS install
WORKDIR /app
COPY package.json package-lock.json ./
# The runtime is the image's; the pinned `node` package is a devDependency and stays out.
RUN npm ci --omit=dev --ignore-scripts --no-fund --no-audit

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    UV_THREADPOOL_SIZE=16 \
    SECURE_TRANSPORT_CONFIG=/etc/secure-transport/secure-transport.yaml
WORKDIR /app
COPY --from=install /app/node_modules ./node_modules
COPY package.json LICENSE README.md ./
COPY config ./config
COPY src ./src
RUN install -d -o node -g node -m 0700 /var/lib/secure-transport
USER node
VOLUME /var/lib/secure-transport
EXPOSE 2525 2587 2465 8025
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8025/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "src/main.ts"]
CMD ["serve"]
