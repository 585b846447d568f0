// ethers as an application uses it: nothing is said of this chain but its address.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Contract, ContractFactory, JsonRpcProvider, Wallet, WebSocketProvider } from "ethers";

const setup = JSON.parse(readFileSync(0, "utf8"));
const provider = new JsonRpcProvider(setup.url, undefined, { pollingInterval: 100 });
const socket = new WebSocketProvider(setup.socket);
const wallet = new Wallet(setup.key, provider);
const checks = [];

async function check(name, work) {
  await work();
  checks.push(name);
}

/** The error that a promise ends with. */
async function failure(promise) {
  return promise.then(() => assert.fail("it succeeded"), (error) => error);
}

/** Resolves with what a listener is called with, once. */
function next(emitter, event) {
  return new Promise((resolve) => emitter.once(event, (...heard) => resolve(heard)));
}

await check("network and account", async () => {
  assert.equal((await provider.getNetwork()).chainId, BigInt(setup.chainId));
  assert.ok((await provider.getBalance(wallet.address)) > 0n);
  const fees = await provider.getFeeData();
  assert.ok(fees.gasPrice > 0n);
  assert.equal(fees.maxFeePerGas, null);
});

const pendingHeard = next(socket, "pending");
const blockHeard = next(socket, "block");

await check("a payment", async () => {
  const sent = await wallet.sendTransaction({ to: setup.poor, value: 10n ** 18n });
  assert.equal(sent.type, 0);
  const receipt = await sent.wait(1, 20_000);
  assert.equal(receipt.status, 1);
  assert.equal(receipt.gasUsed, 21_000n);
  assert.equal(await provider.getBalance(setup.poor), 10n ** 18n);
  assert.equal((await pendingHeard)[0], sent.hash);
  assert.ok((await blockHeard)[0] <= receipt.blockNumber);
  assert.equal((await provider.getTransaction(sent.hash)).blockHash, receipt.blockHash);
});

const factory = new ContractFactory(setup.abi, setup.bytecode, wallet);
const box = await (await factory.deploy()).waitForDeployment();
const address = await box.getAddress();

await check("a contract's state and events", async () => {
  const polled = next(box, "Stored");
  const pushed = next(new Contract(address, setup.abi, socket), "Stored");
  await new Promise((resolve) => setTimeout(resolve, 300)); // both listen now
  assert.ok((await box.store.estimateGas(42n, "hello")) > 21_000n);
  const receipt = await (await box.store(42n, "hello")).wait(1, 20_000);
  assert.equal(await box.stored(), 42n);
  assert.equal(await box.stored({ blockTag: "pending" }), 42n);
  assert.equal(await box.stored({ blockTag: receipt.blockNumber }), 42n);
  const [event] = await box.queryFilter(box.filters.Stored(wallet.address, 42n), 0);
  assert.deepEqual(event.args.toArray(), [wallet.address, 42n, "hello"]);
  assert.equal((await box.queryFilter(box.filters.Stored(null, 43n), 0)).length, 0);
  for (const heard of [await polled, await pushed]) {
    assert.deepEqual(heard.slice(0, 3), [wallet.address, 42n, "hello"]);
    assert.equal(heard[3].log.transactionHash, receipt.hash);
  }
  assert.equal(await provider.getStorage(address, 0), "0x" + "2a".padStart(64, "0"));
});

await check("reverts say why", async () => {
  const custom = await failure(box.store.staticCall(2000n, ""));
  assert.equal(custom.code, "CALL_EXCEPTION");
  assert.equal(custom.revert.name, "TooLarge");
  assert.deepEqual(custom.revert.args.toArray(), [2000n, 1000n]);
  assert.equal((await failure(box.refuse())).reason, "not today");
  assert.equal((await failure(box.refuse.estimateGas())).reason, "not today");
  const panic = await failure(box.divide(0n));
  assert.equal(panic.reason, "Panic due to DIVIDE_BY_ZERO(18)");
  const mined = await box.store(2000n, "", { gasLimit: 100_000 });
  assert.equal((await failure(mined.wait(1, 20_000))).receipt.status, 0);
});

await check("refused transactions have their codes", async () => {
  const used = { to: setup.poor, value: 1n, gasLimit: 21_000n };
  const old = { ...used, nonce: 0 };
  assert.equal((await failure(wallet.sendTransaction(old))).code, "NONCE_EXPIRED");
  const rich = { ...used, value: 10n ** 30n };
  assert.equal((await failure(wallet.sendTransaction(rich))).code, "INSUFFICIENT_FUNDS");
  const nonce = (await wallet.getNonce()) + 1; // a gap before it: it waits
  await wallet.sendTransaction({ ...used, nonce, gasPrice: 100n });
  const replacing = wallet.sendTransaction({ ...used, value: 2n, nonce, gasPrice: 101n });
  assert.equal((await failure(replacing)).code, "REPLACEMENT_UNDERPRICED");
});

await check("blocks", async () => {
  const latest = await provider.getBlock("latest", true);
  assert.equal(latest.prefetchedTransactions.length, latest.length);
  for (const tag of ["earliest", "safe", "finalized"]) {
    assert.equal((await provider.getBlock(tag)).number, 0);
  }
  assert.ok((await provider.getBlock("pending"))?.number !== latest.number);
  assert.equal(await provider.getBlock("0x" + "00".repeat(32)), null);
});

await check("an inference", async () => {
  const abi = ["function classify(address model, address input) view returns (uint256)"];
  const classifier = new Contract(setup.classifier, abi, provider);
  assert.equal(await classifier.classify(setup.model, setup.input), BigInt(setup.class));
});

provider.destroy();
await socket.destroy();
console.log(JSON.stringify(checks));
