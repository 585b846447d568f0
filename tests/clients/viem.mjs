// viem as an application uses it: the chain is described by its id and address alone.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import {
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  createWalletClient,
  defineChain,
  http,
  parseAbi,
  webSocket,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";

const setup = JSON.parse(readFileSync(0, "utf8"));
const chain = defineChain({
  id: setup.chainId,
  name: "farmnet",
  nativeCurrency: { name: "Cortex", symbol: "CTXC", decimals: 18 },
  rpcUrls: { default: { http: [setup.url], webSocket: [setup.socket] } },
});
const account = privateKeyToAccount(setup.key);
const options = { chain, pollingInterval: 100 };
const reader = createPublicClient({ ...options, transport: http(undefined, { batch: true }) });
const listener = createPublicClient({ ...options, transport: webSocket() });
const writer = createWalletClient({ ...options, account, transport: http() });
const { abi } = setup;
const checks = [];

async function check(name, work) {
  await work();
  checks.push(name);
}

/** The error that a promise ends with. */
async function failure(promise) {
  return promise.then(() => assert.fail("it succeeded"), (error) => error);
}

/** Starts watching; the promise is of the first thing heard. */
function first(watch) {
  return new Promise((resolve, reject) => {
    const stop = watch((heard) => {
      stop();
      resolve(heard);
    }, reject);
  });
}

const mined = (hash) => reader.waitForTransactionReceipt({ hash, timeout: 20_000 });

await check("network and account", async () => {
  assert.equal(await reader.getChainId(), setup.chainId);
  assert.ok((await reader.getBalance({ address: account.address })) > 0n);
  assert.ok((await reader.estimateFeesPerGas({ type: "legacy" })).gasPrice > 0n);
  const history = await reader.getFeeHistory({ blockCount: 4, rewardPercentiles: [50] });
  assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
});

await check("a payment", async () => {
  const pending = first((tell, onError) =>
    listener.watchPendingTransactions({ onTransactions: tell, onError }),
  );
  const blocks = first((tell, onError) =>
    listener.watchBlocks({ onBlock: tell, onError, emitMissed: false }),
  );
  await listener.getBlockNumber(); // both listen now
  const hash = await writer.sendTransaction({ to: setup.poor, value: 10n ** 18n });
  const receipt = await mined(hash);
  assert.deepEqual([receipt.status, receipt.type, receipt.gasUsed], ["success", "legacy", 21_000n]);
  assert.deepEqual(await pending, [hash]);
  assert.ok((await blocks).number <= receipt.blockNumber);
  assert.equal((await reader.getTransaction({ hash })).typeHex, "0x0");
});

const deployment = await mined(await writer.deployContract({ abi, bytecode: setup.bytecode }));
const address = deployment.contractAddress;
const box = { address, abi, account };
const stored = { ...box, eventName: "Stored", args: { by: account.address } };

await check("a contract's state and events", async () => {
  const filter = await reader.createContractEventFilter(stored);
  const polled = first((tell, onError) =>
    reader.watchContractEvent({ ...stored, onLogs: tell, onError }),
  );
  const pushed = first((tell, onError) =>
    listener.watchContractEvent({ ...stored, onLogs: tell, onError }),
  );
  await new Promise((resolve) => setTimeout(resolve, 300)); // both listen now
  const call = { ...box, functionName: "store", args: [42n, "hello"] };
  assert.ok((await reader.estimateContractGas(call)) > 21_000n);
  const { request } = await reader.simulateContract(call);
  const receipt = await mined(await writer.writeContract(request));
  assert.equal(await reader.readContract({ ...box, functionName: "stored" }), 42n);
  const listed = await reader.getContractEvents({ ...stored, fromBlock: 0n });
  const changes = await reader.getFilterChanges({ filter });
  for (const logs of [listed, changes, await polled, await pushed]) {
    assert.deepEqual(logs.length, 1);
    assert.deepEqual(logs[0].args, { by: account.address, word: 42n, note: "hello" });
    assert.equal(logs[0].transactionHash, receipt.transactionHash);
  }
  assert.equal(await reader.uninstallFilter({ filter }), true);
});

/** The error that a contract reverted with, decoded. */
async function reverted(functionName, args) {
  const error = await failure(reader.simulateContract({ ...box, functionName, args }));
  assert.ok(error instanceof BaseError);
  const found = error.walk((cause) => cause instanceof ContractFunctionRevertedError);
  assert.ok(found, error.message);
  return found;
}

await check("reverts say why", async () => {
  const custom = await reverted("store", [2000n, ""]);
  assert.equal(custom.data.errorName, "TooLarge");
  assert.deepEqual(custom.data.args, [2000n, 1000n]);
  assert.equal((await reverted("refuse", [])).reason, "not today");
  assert.equal((await reverted("divide", [0n])).data.errorName, "Panic");
  const call = { ...box, functionName: "store", args: [2000n, ""], gas: 100_000n };
  assert.equal((await mined(await writer.writeContract(call))).status, "reverted");
});

/** The names of an error and of all that caused it. */
function names(error) {
  return error ? [error.name, ...names(error.cause)] : [];
}

await check("refused transactions have their errors", async () => {
  const used = { to: setup.poor, value: 1n, gas: 21_000n };
  const old = await failure(writer.sendTransaction({ ...used, nonce: 0 }));
  assert.ok(names(old).includes("NonceTooLowError"), old.message);
  const rich = await failure(writer.sendTransaction({ ...used, value: 10n ** 30n }));
  assert.ok(names(rich).includes("InsufficientFundsError"), rich.message);
  const small = await failure(writer.sendTransaction({ ...used, gas: 20_000n }));
  assert.ok(names(small).includes("IntrinsicGasTooLowError"), small.message);
});

await check("blocks", async () => {
  const latest = await reader.getBlock({ includeTransactions: true });
  assert.equal(latest.transactions.length, latest.transactions.filter((t) => t.hash).length);
  assert.equal(latest.baseFeePerGas ?? null, null);
  assert.equal((await reader.getBlock({ blockTag: "finalized" })).number, 0n);
  const hash = latest.hash;
  assert.equal((await reader.getBlock({ blockHash: hash })).number, latest.number);
  const { number: blockNumber } = latest;
  assert.equal(await reader.getBlockTransactionCount({ blockNumber }), latest.transactions.length);
});

await check("an inference", async () => {
  const found = await reader.readContract({
    address: setup.classifier,
    abi: parseAbi(["function classify(address, address) view returns (uint256)"]),
    functionName: "classify",
    args: [setup.model, setup.input],
  });
  assert.equal(found, BigInt(setup.class));
});

console.log(JSON.stringify(checks));
process.exit(0); // the socket would stay open
