// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// What clients are tried with: state, events, a reason, an error of its own, a panic.
contract Box {
    uint256 public constant MOST = 1000;
    uint256 public stored;

    event Stored(address indexed by, uint256 indexed word, string note);

    error TooLarge(uint256 given, uint256 most);

    function store(uint256 word, string calldata note) external {
        if (word > MOST) revert TooLarge(word, MOST);
        stored = word;
        emit Stored(msg.sender, word, note);
    }

    function refuse() external pure {
        revert("not today");
    }

    function divide(uint256 by) external view returns (uint256) {
        return stored / by;
    }
}
